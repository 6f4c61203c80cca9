r"""Expression: SQL conditions, checked once, with equal results in Polars, Spark and per payment.

Reads SQL text, the kinds of the columns and the names of the lists; gives an `Expression`. Promises
equal results in all three, and that text outside the language is refused (InvalidExpression) before
any row is read.

The language is one SQL expression over the columns of one row, of at most 50,000 characters and 50
levels:

- columns (`amount`, `"Name with blank"`; upper and lower case differ), numbers, 'text', TRUE,
  FALSE, NULL;
- `= <> < <= > >=`, AND, OR, NOT, IS [NOT] NULL, IS [NOT] TRUE, IS [NOT] FALSE, [NOT] BETWEEN;
- [NOT] IN (literals), [NOT] IN named_list; [NOT] LIKE 'pattern' [ESCAPE 'c'];
- REGEXP_LIKE (text, 'pattern'): characters, `.`, `[a-z]`, `\d \w \s` of ASCII, `( ) |`,
  `* + ? {2,5}`, `^ $`;
- `+ - * / %`, ABS, SQRT, LN, EXP, POWER, FLOOR, CEIL, ROUND (to a whole number, a half away from
  zero);
- LEAST, GREATEST; DISTANCE_KM (latitude, longitude, latitude, longitude), SIMILARITY (of two texts,
  from 0 to 1);
- DATE_DIFF ('second', 'minute', 'hour', 'day' or 'week', from, to), of time columns or texts such
  as '2024-05-04';
- LOWER, UPPER, LENGTH, SUBSTR (text, first place, length), CONCAT, `||`; COALESCE, NULLIF, CASE.

Its semantics, in all three engines:

- Logic is three-valued. A missing column is null, and null propagates; CONCAT is null
  when any argument is. LEAST and GREATEST skip nulls, as in Spark and PostgreSQL.
- A number is an IEEE 754 float64, in the unit of its column (amounts in major units). A result that
  is not finite is null: division by zero, an overflow, SQRT of a negative, LN of zero,
  POWER of a negative to a fraction, a NaN in the row. What is too small for a float64 is 0.
- `%` has the sign of the dividend and is exact. Text compares by code point; LENGTH counts code
  points.
- `x IN empty_list` is FALSE for every `x`, null included.
- A text compared with a column takes the canonical form of its values (`shroff.canonical`):
  `mcc = '5411.0'` asks for `5411`.
- DISTANCE_KM is the haversine distance on a sphere of radius 6371.0088 km, in degrees; null outside
  latitudes -90 to 90 and longitudes -180 to 180. SIMILARITY is the Sørensen-Dice coefficient over
  pairs of characters of the first 128 of each text, in linear time. SUBSTR counts code points from
  1; its places are literals.
- REGEXP_LIKE is true where the pattern is found in the text, in linear time whatever is in it. `^`
  and `$` are the ends of the text, `.` is any character but a line feed. The pattern is a literal;
  what engines read differently is refused. It has at most 256 characters, counted as often as they
  are repeated. The rules of a policy, the features of a project and the conditions of a model have
  patterns of 1,024 together, each counted as 16 or more, once for each column in its text.
- DATE_DIFF is the number of whole units from one moment to the other, cut towards zero. A day is 24
  hours, whatever the time zone. A text is a date or a moment of ISO 8601, in UTC unless it has an
  offset; any other text is null.
- Kinds never mix: number with text, or anything with time, is refused when the condition is read. A
  `time` column compares with another one, knows IS NULL, and is taken by DATE_DIFF.

Polars and the closure agree to the last bit. DATE_DIFF, EXP, POWER, DISTANCE_KM, REGEXP_LIKE and
SIMILARITY are one Python function each, which all engines call and which gives the same bits on
every processor; `register` makes them known to a Spark session. Two functions depend on installed
libraries: LOWER and UPPER follow each engine's Unicode tables, which may differ on new letters, and
LN follows the C library, so that its last bit may differ in Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from shroff.expression.called import register
from shroff.expression.checker import read
from shroff.expression.completion import Completion, complete
from shroff.expression.faults import Fault, fault_of
from shroff.expression.in_python import to_closure
from shroff.expression.in_spark import to_spark
from shroff.expression.tree import (
    ColumnRef,
    InList,
    Kind,
    Node,
    Value,
    bind,
    compared_with,
    patterns_of,
    walk,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Completion",
    "Expression",
    "Fault",
    "InList",
    "Kind",
    "Value",
    "complete",
    "fault_of",
    "parse",
    "register",
]

_NO_LISTS: Final[Mapping[str, Collection[str]]] = MappingProxyType({})


@dataclass(frozen=True)
class Expression:
    """A condition with checked names and kinds; made by `parse`.

    Attributes:
        sql: the user's text.
        columns: the columns it reads.
        lists: the named lists it reads.
        kind: the kind of its result.
    """

    sql: str
    columns: frozenset[str]
    lists: frozenset[str]
    kind: Kind
    tree: Node = field(repr=False)

    def compared_with(self, column: str) -> list[Value | InList]:
        """The values and named lists that a column must equal or not.

        >>> parse("country IN red OR country = 'XX'", {"country": "text"}, ["red"]).compared_with(
        ...     "country"
        ... )
        [InList(arg=ColumnRef(name='country', kind='text'), name='red', kind='boolean'), 'XX']
        """
        return compared_with(self.tree, column)

    def matches_none(self, column: str, texts: Collection[str]) -> bool:
        """Whether a LIKE or REGEXP_LIKE of this column alone is true for none of some texts.

        >>> parse("country LIKE 'd%'", {"country": "text"}).matches_none("country", ["DE", "DK"])
        True
        """
        patterns = map(to_closure, patterns_of(self.tree, column))
        return not all(any(fits({column: text}) for text in texts) for fits in patterns)

    def polars(self, lists: Mapping[str, Collection[str]] = _NO_LISTS) -> pl.Expr:
        """The condition over columns: numbers as Float64, text as String, booleans as Boolean.

        The result has no name; give it one with `.alias`. A condition that reads no column has
        one row, which `with_columns` and `filter` repeat.

        Raises:
            ConfigurationError: a named list without values.

        >>> import polars as pl
        >>> frame = pl.DataFrame({"amount": [9.5, 60.0, None]})
        >>> condition = parse("amount > 50", {"amount": "number"})
        >>> frame.select(condition.polars().alias("large"))["large"].to_list()
        [False, True, None]
        """
        from shroff.expression.in_polars import (
            to_polars,
        )  # serving does not need Polars expressions

        return to_polars(bind(self.tree, lists))

    def closure(
        self, lists: Mapping[str, Collection[str]] = _NO_LISTS
    ) -> Callable[[Mapping[str, Value]], Value]:
        """The condition compiled for one row at a time; a key that the row lacks is null.

        The named lists are read now, not at each call. The function is thread-safe. It raises
        BadPayment for a row with anything but a number in a number column.

        Raises:
            ConfigurationError: a named list without values.

        >>> condition = parse(
        ...     "country IN red AND amount > 50", {"country": "text", "amount": "number"}, ["red"]
        ... )
        >>> check = condition.closure({"red": ["XX"]})
        >>> check({"country": "XX", "amount": 60.0}), check({"amount": 10}), check({"amount": 60})
        (True, False, None)
        """
        return to_closure(bind(self.tree, lists))

    def spark_sql(self, lists: Mapping[str, Collection[str]] = _NO_LISTS) -> str:
        """The condition as Spark SQL, with the named lists written out.

        Number columns must be DOUBLE, and finite or null. DATE_DIFF, DISTANCE_KM, EXP, POWER,
        REGEXP_LIKE and SIMILARITY need `register` first.

        Raises:
            ConfigurationError: a named list without values.

        >>> parse(
        ...     "result = 'failed' OR amount IS NULL", {"result": "text", "amount": "number"}
        ... ).spark_sql()
        "((`result` = 'failed') OR (`amount` IS NULL))"
        """
        return to_spark(bind(self.tree, lists))


def parse(sql: str, columns: Mapping[str, Kind], lists: Collection[str] = ()) -> Expression:
    """Parse a condition and check it against the known columns and named lists.

    Raises:
        InvalidExpression: it does not parse, uses more than the language, or mixes kinds.
        UnknownColumn: it names a column that `columns` does not have.

    >>> parse("amount / 2 > 50", {"amount": "number"})
    Expression(sql='amount / 2 > 50', columns=frozenset({'amount'}), lists=frozenset(),
    kind='boolean')
    >>> parse("amount > '50'", {"amount": "number"})
    Traceback (most recent call last):
        ...
    shroff.errors.InvalidExpression: `>` takes values of one kind, got `amount` (number) and `'50'`
    (text) \
in `amount > '50'`: `amount` holds numbers, so write 50 without quotes
    >>> parse("ammount > 50", {"amount": "number"})
    Traceback (most recent call last):
        ...
    shroff.errors.UnknownColumn: unknown column `ammount` in `ammount > 50`: did you mean `amount`?
    """
    root, kind = read(sql, columns, lists)
    nodes = list(walk(root))
    return Expression(
        sql=sql,
        columns=frozenset(node.name for node in nodes if isinstance(node, ColumnRef)),
        lists=frozenset(node.name for node in nodes if isinstance(node, InList)),
        kind=kind,
        tree=root,
    )
