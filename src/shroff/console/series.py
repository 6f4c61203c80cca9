"""The figures of the overview: what an index counted, as series for charts and rows for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from shroff.collect.times import DAY_US, MINUTE_US
from shroff.console.backend import ConsoleBackend
from shroff.decide.standing import own
from shroff.errors import BundleError
from shroff.evaluate.cost import ACTIONS, Cost
from shroff.index import IndexedMinutes, MoneyKept, money_kept

_MONEY_DAYS: Final = 30
_TABLE_ROWS: Final = 60
_COLOURS: Final = {
    "approve": "--s2",
    "challenge": "--s3",
    "review": "--s4",
    "decline": "--s1",
    "lost": "--s1",
    "stopped": "--s0",
    "saved": "--s2",
}
"""The properties of `console.css` that have the colours of series."""


class ChartSpan(NamedTuple):
    """A stretch of time that a chart shows: its name, how long it is, and how long a point."""

    name: str
    title: str
    minutes: int
    step: int


WINDOWS: Final = (
    ChartSpan("3h", "3 hours, by the minute", 180, 1),
    ChartSpan("1d", "a day, by 10 minutes", 1_440, 10),
    ChartSpan("7d", "a week, by the hour", 10_080, 60),
    ChartSpan("26w", "six months, by the day", 262_080, 1_440),
)


class TrafficRow(NamedTuple):
    """Payments that arrived within one step: how many, by what was decided, and their amount."""

    began: int
    payments: int
    actions: tuple[int, ...]


class Traffic(NamedTuple):
    """Payments and decisions over a window, from the first step to the one that is under way."""

    window: ChartSpan
    rows: tuple[TrafficRow, ...]

    @property
    def payments(self) -> int:
        """Of the whole window."""
        return sum(one.payments for one in self.rows)

    @property
    def shares(self) -> list[tuple[str, int]]:
        """How many payments each action was decided on."""
        return [
            (name, sum(one.actions[place] for one in self.rows))
            for place, name in enumerate(ACTIONS)
        ]

    @property
    def newest(self) -> list[TrafficRow]:
        """Rows of the table: steps with payments, the newest first."""
        return [one for one in reversed(self.rows) if one.payments][:_TABLE_ROWS]

    @property
    def chart(self) -> dict[str, Any]:
        """For uPlot."""
        names = [name for name, many in self.shares if many or name != "challenge"]
        places = [ACTIONS.index(name) for name in names]
        return {
            "series": [
                {"label": "payments", "colour": "--quiet"},
                *({"label": name, "colour": _COLOURS[name]} for name in names),
            ],
            "data": [
                [one.began // 1_000_000 for one in self.rows],
                [one.payments for one in self.rows],
                *([one.actions[place] for one in self.rows] for place in places),
            ],
        }


def traffic(backend: ConsoleBackend, window: ChartSpan) -> Traffic:
    """The payments of a window that ends now."""
    step = window.step * MINUTE_US
    until = backend.clock() // step * step + step
    since = until - window.minutes * MINUTE_US
    cells = IndexedMinutes.read(backend.index, since=since, until=until, minutes=window.step)
    counts = dict[int, list[int]]()
    for one in cells:
        counts.setdefault(one.began, [0] * len(ACTIONS))[ACTIONS.index(one.action)] += one.payments
    none = [0] * len(ACTIONS)
    rows = [(began, counts.get(began, none)) for began in range(since, until, step)]
    return Traffic(window, tuple(TrafficRow(one, sum(many), tuple(many)) for one, many in rows))


class MoneyDays(NamedTuple):
    """What decisions came to in money in the last days, and day by day, in the main currency."""

    days: int
    kept: tuple[MoneyKept, ...]
    by_day: tuple[tuple[int, MoneyKept], ...]

    @property
    def chart(self) -> dict[str, Any]:
        """For uPlot."""
        saved = any(one.saved is not None for _, one in self.by_day)
        series = ["lost", "stopped", *(["saved"] if saved else [])]
        return {
            "series": [{"label": name, "colour": _COLOURS[name]} for name in series],
            "data": [
                [began // 1_000_000 for began, _ in self.by_day],
                *([getattr(one, name) for _, one in self.by_day] for name in series),
            ],
        }


def money(backend: ConsoleBackend) -> MoneyDays:
    """What the decisions of the last days came to, by the labels so far and the costs of today."""
    until = backend.clock() // DAY_US * DAY_US + DAY_US
    since = until - _MONEY_DAYS * DAY_US
    cells = IndexedMinutes.read(backend.index, since=since, until=until, minutes=1_440)
    cost = _cost(backend)
    kept = tuple(money_kept(cells, cost))
    main = kept[0].currency if kept else ""
    days = range(since, until, DAY_US)
    return MoneyDays(_MONEY_DAYS, kept, tuple((day, _of(day, main, cells, cost)) for day in days))


def _of(day: int, currency: str, cells: Sequence[IndexedMinutes], cost: Cost | None) -> MoneyKept:
    own_cells = [one for one in cells if one.began == day and one.currency == currency]
    found = money_kept(own_cells, cost)
    return found[0] if found else MoneyKept(currency, 0.0, 0.0, None if cost is None else 0.0, 0)


def _cost(backend: ConsoleBackend) -> Cost | None:
    """The costs of the policy in force; None where it cannot be read."""
    pointers = backend.models.pointers
    try:
        if pointers.policy is not None:
            return backend.models.policy(pointers.policy).policy.cost
    except BundleError:
        return None
    bundle = backend.bundle_or_none(pointers.production)
    return None if bundle is None else own(bundle).policy.cost
