"""A page for each aggregate, and one for the options they share, with values that the batch engine
worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import polars as pl
from docs.generate.docstrings import error_table, page, read, rendered, table

import shroff.features.links
import shroff.features.window
from shroff import Entity, FeatureGroup, Schema
from shroff.embed import Vectors
from shroff.features.aggregates import RECIPES
from shroff.features.define import Aggregate
from shroff.features.engines.batch import compute
from shroff.features.links import MAX_CARDS, MAX_VALUES, LinkFeature, LinkFunction, Links
from shroff.features.verbs import Options

_SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    label="fraud",
    labelled_at="labelled_at",
    result="result",
    keys=["card_id", "host_id"],
)
_NINE = datetime(2024, 5, 4, 9, tzinfo=UTC)
_LOG = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "at": [_NINE + timedelta(minutes=minutes) for minutes in (0, 20, 50, 90)],
        "card_id": ["c1"] * 4,
        "host_id": ["h1", "h1", "h2", "h2"],
        "amount": [10_00, 25_00, 40_00, 300_00],
        "result": ["authorised", "failed", "authorised", "authorised"],
        "fraud": [True, False, False, False],
        "labelled_at": [_NINE + timedelta(minutes=minutes) for minutes in (60, 60, 60, 100)],
    },
    schema_overrides={"at": pl.Datetime("us", "UTC"), "labelled_at": pl.Datetime("us", "UTC")},
)

card = Entity("card", "card_id")
bands = Vectors(name="bands", entity=card, tokens=["amount"], dimensions=2)
_LEARNED = msgspec.structs.replace(
    bands.table,
    vectors={"amount": {"10-20": (8_000, 0), "20-50": (6_000, 6_000), "200-500": (0, 30_000)}},
)

# each is code of the page and what it gives
_EXAMPLES = {
    "count": 'card.count("1h")',
    "share": 'card.share("result = \'failed\'", "1h")',
    "frauds": 'card.frauds("1d", delay="30m")',
    "risk": 'card.risk("1d", delay="30m")',
    "total": 'card.total("amount", "1h")',
    "mean": 'card.mean("amount", "1h")',
    "std": 'card.std("amount", "1d")',
    "min": 'card.min("amount", "1d")',
    "max": 'card.max("amount", "1d")',
    "distinct": 'card.distinct("host_id", "1h")',
    "is_new": 'card.is_new("host_id", "1d")',
    "entropy": 'card.entropy("host_id", "1d")',
    "top_share": 'card.top_share("host_id", "1d")',
    "seconds_since_first": 'card.seconds_since_first("1d")',
    "seconds_since_last": 'card.seconds_since_last("1d")',
    "decayed_count": 'card.decayed_count("1d", half_life="1h")',
    "decayed_total": 'card.decayed_total("amount", "1d", half_life="1h")',
    "last": 'card.last("host_id", "1d")',
    "first": 'card.first("amount", "1h")',
    "habit": 'card.habit(bands, "1h")[:1]',
    "distance": 'card.distance(bands, "1h")',
    "quantile": 'card.quantile("amount", "1d", q=0.9)',
    "median": 'card.median("amount", "1d")',
    "mode": 'card.mode("host_id", "1d")',
}
_OPTIONS = (
    'card.count("1h")',
    'card.count("1h", where="result = \'failed\'")',
    'card.count("1h", delay="30m")',
    'card.count("1h", resolution="1h")',
    'card.count("1h", include_current=True)',
    'card.decayed_count("1h", half_life="16m")',
)


def pages() -> dict[str, str]:
    """The aggregates, and the page of their options."""
    shared = read(Aggregate).entries("Args")
    embedded = "vectors of tokens, as `Vectors` of `shroff.embed` defines them."
    shared = shared | {"windows": shared["window"], "vectors": embedded}
    return (
        {"options.md": _options(shared)}
        | {f"aggregates/{name}.md": _aggregate(name, shared) for name in RECIPES}
        | {"aggregates/linked_by.md": _linked()}
    )


def _aggregate(name: str, shared: dict[str, str]) -> str:
    parts = [
        page(getattr(Entity, name), shared=shared).removesuffix("\n"),
        f"`options` are {', '.join(f'`{one}`' for one in Options.__annotations__)}: see "
        "[options](../options.md).",
        "## Errors",
        error_table(read(Aggregate)),
        "## Values",
        f'With `card = Entity("card", "card_id")`, over four payments of one card{_known(name)}:',
        _values([_EXAMPLES[name]]),
    ]
    return "\n\n".join(parts) + "\n"


def _linked() -> str:
    """What is asked of the linked, and the law that says who they are."""
    shared = read(LinkFeature).entries("Args")
    asks = [
        [f"`.{name}({'column' if name == 'distinct' else ''})`", read(getattr(Links, name)).prose]
        for name in get_args(LinkFunction)
    ]
    law = read(shroff.features.links).prose.split("\n\n")[1:]
    parts = [
        page(
            Entity.linked_by, shared={**shared, "column": shared["by"], "windows": shared["window"]}
        ).removesuffix("\n"),
        table(["feature", "meaning"], [[name, " ".join(text.split())] for name, text in asks]),
        "Each takes `name=`, the feature's name. See [links](../../links.md) for an example.",
        "## Errors",
        error_table(read(LinkFeature)),
        "## The law",
        rendered("\n\n".join(law)),
        f"`MAX_VALUES` is {MAX_VALUES}, `MAX_CARDS` {MAX_CARDS}.",
    ]
    return "\n\n".join(parts) + "\n"


def _known(name: str) -> str:
    if name in ("habit", "distance"):
        return ", and vectors `bands`: 10–20 is (0.8, 0), 20–50 is (0.6, 0.6) and 200–500 is (0, 3)"
    return (
        ", whose labels arrived at 10:00 and, that of `d`, at 10:40"
        if name in ("frauds", "risk")
        else ""
    )


def _options(shared: dict[str, str]) -> str:
    names = ("where", "delay", "resolution", "half_life", "include_current", "name")
    parts = [
        "# where, delay, half_life, resolution: the options of aggregates",
        "Every aggregate takes these as keywords, `half_life` only those that decay.",
        table(["option", "meaning"], [[f"`{name}`", shared[name]] for name in names]),
        "## The window",
        rendered("\n\n".join(read(shroff.features.window).prose.split("\n\n")[1:3])),
        "A duration is a whole number with `s`, `m`, `h` or `d`.",
        "## Values",
        'With `card = Entity("card", "card_id")`, over four payments of one card:',
        _values(_OPTIONS),
    ]
    return "\n\n".join(parts) + "\n"


def _values(examples: Sequence[str]) -> str:
    """The payments, and what each example gives for them."""
    columns = {text: _column(text) for text in examples}
    heads = ["id", "at", "host_id", "amount", "result", "fraud", *(f"`{text}`" for text in columns)]
    rows = []
    for at, one in enumerate(_LOG.iter_rows(named=True)):
        fixed = [
            one["id"],
            f"{one['at']:%H:%M}",
            one["host_id"],
            f"{one['amount'] / 100:.2f}",
            one["result"],
        ]
        rows.append(
            [
                *fixed,
                str(one["fraud"]).lower(),
                *(_number(column[at]) for column in columns.values()),
            ]
        )
    return table(heads, rows)


def _column(example: str) -> list[Any]:
    (feature,) = eval(example, {"card": card, "bands": bands})
    found: list[Any] = compute(
        [FeatureGroup("example", [feature], vectors=[_LEARNED])], _LOG, _SCHEMA
    )[feature.name].to_list()
    return found


def _number(value: float | str | None) -> str:
    return "null" if value is None else value if isinstance(value, str) else f"{value:.6g}"
