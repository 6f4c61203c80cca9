"""A first project for a log, with guessed columns, for a person to continue."""

from __future__ import annotations

import json
import keyword
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from shroff.collect import Cleaned, Iso8583, clean, read
from shroff.collect.addresses import remote_table
from shroff.collect.mappings import Mapped
from shroff.collect.numbers import PLAIN
from shroff.collect.role_words import words_of
from shroff.collect.roles import ROLES, Guess, Role, Roles, guess
from shroff.collect.sources import require_raw, scan, written_whole
from shroff.collect.usual_fields import UsualFields, usual_fields
from shroff.errors import ShroffError
from shroff.expression import parse
from shroff.location import Location
from shroff.project import Project, load_project

_MAX_ROWS: Final = 200_000
"""The first rows of a log, from which its columns are guessed."""
_SINGLE: Final[tuple[Role, ...]] = ROLES[: ROLES.index("personal")]
_MAX_ENTITIES: Final = 4
_ANGER: Final = 15.0
"""The least cost of a wrong decline that a first project has."""
_RESERVED: Final = frozenset({"calendar", "sql", "payments", "velocity", "project", "fields"})
"""Names that the text uses itself, in lower case as entities are."""
_BARE: Final = frozenset({"id", "num", "no", "number", "key", "hash", "token", "tx", "trans"})


class FirstProject(NamedTuple):
    """A written project, its guesses, and how well it reads the first rows."""

    project: Project
    roles: Roles
    cleaned: Cleaned


def start_project(
    data: str | os.PathLike[str],
    file: Path,
    *,
    key: bytes,
    given: Mapping[Role, str | None] | None = None,
    currency: str = "EUR",
) -> FirstProject:
    """Write a project for a log, and read the log's first rows by it.

    Args:
        data: a file, or the URL of a table.
        file: where the project is written; it must not exist.
        key: the key of personal values' hashes.
        given: columns whose role is known, by role.
        currency: the currency of amounts that name none.

    Raises:
        DataError: the log has no rows, or no column that can be the id, time or amount.
        UnknownColumn: a given column that the log does not have.
        BadFile, SourceUnavailable: the log cannot be read.
    """
    location = Location.of(data)
    if location.messages is None:
        table, mapping = _first_rows(data), None
        roles = guess(table, given)
    else:
        fields = usual_fields(location)
        table, roles = fields.rows, _roles_of(fields, given)
        mapping = fields.mapping
    with written_whole(file) as target:
        text = project_text(roles, str(data), currency=currency, mapping=mapping)
        target.write(text.encode())
    try:
        project = load_project(file)
        cleaned = clean(table, project.plan.schema, key=key, max_bad=1.0)
    except BaseException:
        # what cannot be loaded is no first project, and would only block the next attempt
        file.unlink()
        raise
    return FirstProject(project, roles, cleaned)


def _roles_of(fields: UsualFields, given: Mapping[Role, str | None] | None) -> Roles:
    """The roles of usual fields, of which some are known."""
    roles = guess(fields.rows, {**(given or {}), "currency": "currency"})
    known = dict.fromkeys(fields.personal, Guess("", "personal", "may name a person"))
    known["currency"] = Guess("", "currency", "the field of that name")
    guesses = tuple(
        known[one.column]._replace(column=one.column) if one.column in known else one
        for one in roles.guesses
    )
    return replace(roles, guesses=guesses)


def _first_rows(data: str | os.PathLike[str]) -> pl.DataFrame:
    location = Location.of(data)
    if location.scheme is not None:
        chunk = next(iter(remote_table(location).chunks(None, key=None, after=None)))
        return chunk.rows.head(_MAX_ROWS)
    if str(data).lower().endswith(".parquet"):
        table = scan(data).head(_MAX_ROWS).collect()
        require_raw(data)
        return table
    return read(data).head(_MAX_ROWS)


def project_text(
    roles: Roles, log: str, *, currency: str = "EUR", mapping: Mapped | None = None
) -> str:
    """A `project.py`: the schema with the reason of each guess, velocity features, two detectors.

    Args:
        log: the name of the file that was read, for the commands in the text.
        currency: the ISO 4217 code of amounts that name none.
        mapping: of messages, of which columns with a role are kept.
    """
    labelled = bool(roles.of("label"))
    entities = _entities(roles.entities[:_MAX_ENTITIES])
    # amounts of several currencies must not be added
    amounts = [] if roles.mixed else roles.of("amount")
    named = log if log.isprintable() and not set(log) & set('"\\ ') else "LOG"
    lines = [
        '"""Payments of one log: what its columns are, and what detectors learn from.',
        "",
        "Written by `shroff init` from the log itself: a guess stands beside each column. Correct",
        "what is wrong; what to change first is marked TODO.",
        "",
        f"    shroff train . --data {named} --bundle bundle",
        "    shroff report --out report.html",
        '"""',
        "",
        "from shroff import Cost, Entity, FeatureGroup, Policy, Project, Schema, calendar, sql",
        *([] if mapping is None else [f"from shroff.collect import {type(mapping).__name__}"]),
        "from shroff.detect import BoostedTrees, LogisticRegression",
        "",
        *([] if mapping is None else _fields(mapping, roles)),
        "payments = Schema(",
        *_schema(roles, currency, messages=mapping is not None),
        *_subject(entities),
        ")",
        "",
        *(f'{name} = Entity("{name}", {_quoted(column)})' for name, column in entities),
        "",
        "velocity = FeatureGroup(",
        '    "velocity",',
        "    version=1,",
        "    of=payments,",
        '    description="How busy those who take part in a payment have been",',
        "    features=[",
        *(f"        {line}," for line in _features(entities, amounts, labelled=labelled)),
        "    ],",
        ")",
        "",
        "project = Project(",
        "    schema=payments,",
        *_card(entities),
        "    features=[velocity],",
        "    detectors=[LogisticRegression(), BoostedTrees()],",
        "    policy=Policy(",
        "        # TODO: what a review, a missed fraud and a declined genuine payment cost you",
        f'        cost=Cost(review=4.0, missed="amount", declined={_declined(roles):.1f}),',
        "        reviews_per_day=200,  # TODO: how many payments people can review",
        "    ),",
        '    split="time:70/30",',
        ")",
        "",
    ]
    return "\n".join(lines)


def _card(entities: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The column by which payments are counted as one piece of evidence."""
    for _, column in entities[:1]:
        yield "    # TODO: who pays; figures and backtests take payments of one as alike"
        yield f"    card={_quoted(column)},"


def _subject(entities: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The column that says whose a payment is: a ledger without one can never forget anybody."""
    for _, column in entities[:1]:
        yield "    # TODO: whose a payment is, so that a person can be forgotten; it seals records"
        yield f"    subject={_quoted(column)},  # under keys in the control database: back it up"


def _schema(roles: Roles, currency: str, *, messages: bool) -> Iterator[str]:
    for role in _SINGLE:
        for one in roles.guesses:
            if one.role == role:
                yield f"    {role}={_quoted(one.column)},  # {one.why}"
    if messages:
        yield "    # TODO: label=…, labelled_at=…: of --labels, as no message says what was fraud"
        yield "    messages=[fields],"
    elif not roles.of("label"):
        yield "    # TODO: label=…, whether a payment was fraud; `shroff train` needs it"
    elif not roles.of("labelled_at"):
        yield "    # TODO: labelled_at=…, when it became known; without it, at once"
    if roles.mixed:
        yield "    # TODO: rates=Rates.read(…): amounts of several currencies cannot be compared"
    if not roles.of("currency"):
        yield f"    default_currency={_quoted(currency)},  # TODO: the currency of all amounts"
    if roles.timezone is not None:
        yield f"    timezone={_quoted(roles.timezone)},  # TODO: the zone of times that name none"
    if roles.epoch is not None:
        yield f"    epoch={_quoted(roles.epoch)},  # the unit in which times are of this century"
    if roles.number_format != PLAIN:
        yield f"    number_format={_quoted(roles.number_format)},"
    for role in ROLES[len(_SINGLE) :]:
        columns = [one for one in roles.guesses if one.role == role]
        if columns and role == "ignored":
            # a column without a name cannot be listed, and is left out anyway
            yield from (f"    # left out: {_quoted(one.column)}, {one.why}" for one in columns)
        elif columns:
            yield f"    {role}=["
            yield from (f"        {_quoted(one.column)},  # {one.why}" for one in columns)
            yield "    ],"


def _fields(mapping: Mapped, roles: Roles) -> Iterator[str]:
    """The mapping of the columns that are not left out."""
    yield f"fields = {type(mapping).__name__}("
    yield "    {"
    for one in roles.guesses:
        if one.role == "ignored":
            continue
        field = mapping.columns[one.column]
        paths = [field] if isinstance(field, str) else field
        if len(paths) == 1:
            yield f"        {_quoted(one.column)}: {_quoted(paths[0])},"
        else:
            yield f"        {_quoted(one.column)}: ["
            yield from (f"            {_quoted(path)}," for path in paths)
            yield "        ],"
    yield "    },"
    if isinstance(mapping, Iso8583):
        yield f"    bitmap={_quoted(mapping.bitmap)},"
        yield f"    types=[{', '.join(map(_quoted, mapping.types))}],"
        yield f"    prefix={_quoted(mapping.prefix)},"
    yield ")"
    yield ""


def _declined(roles: Roles) -> float:
    """What a wrong decline may cost: a twentieth of the usual amount, and the customer's anger."""
    usual = 0.0 if roles.mixed or roles.median is None else roles.median / 20.0
    return max(_ANGER, float(f"{usual:.2g}"))


def _quoted(text: str) -> str:
    """A text as a Python literal in double quotes."""
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    # not as JSON does: it has two escapes for one character beyond U+FFFF
    escaped = text.encode("unicode_escape").decode().replace('"', r"\"")
    return f'"{escaped}"'


def _entities(columns: Sequence[str]) -> list[tuple[str, str]]:
    """A name for each column that is a variable of Python, and the column."""
    found: dict[str, str] = {}
    for column in columns:
        name = "_".join(word for word in words_of(column) if word not in _BARE)
        if not name.isidentifier() or keyword.iskeyword(name) or name in _RESERVED | found.keys():
            name = f"party_{len(found) + 1}"
        found[name] = column
    return list(found.items())


def _in_sql(column: str) -> bool:
    """Whether a column's name is a column in a condition, and no word of SQL."""
    try:
        return parse(f"{column} / 2", {column: "number"}).columns == {column}
    except ShroffError:
        return False


def _features(
    entities: Sequence[tuple[str, str]], amounts: Sequence[str], *, labelled: bool
) -> Iterator[str]:
    for name, _ in entities:
        yield f'{name}.count(["1h", "1d", "7d"])'
        yield f'{name}.seconds_since_last("7d")'
        for amount in map(_quoted, amounts):
            yield f'{name}.total({amount}, "1d", name="{name}_total_1d")'
            yield f'{name}.mean({amount}, "30d", name="{name}_mean_30d")'
            if _in_sql(amount[1:-1]):
                yield f'sql("amount_to_{name}_mean", "{amount[1:-1]} / {name}_mean_30d")'
        if labelled:
            # frauds become known days later
            yield f'{name}.risk("30d", delay="7d", name="{name}_risk_30d")'
    for (name, column), (other, _) in zip(entities[1:], entities, strict=False):
        yield f'{other}.distinct({_quoted(column)}, "1d", name="{other}_distinct_{name}_1d")'
    yield 'calendar("hour")'
    yield 'calendar("weekend")'
