"""A backtest as one HTML file: sentences and tables, without a script and without a payment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shroff.backtest.replay import Backtest
from shroff.backtest.words import (
    MONEY,
    RULES,
    SIDES,
    SWAP,
    Row,
    money_rows,
    rule_rows,
    sentences,
    side_rows,
    swap_rows,
)
from shroff.collect.sources import written_whole
from shroff.errors import ConfigurationError
from shroff.markup import Html, html, tag
from shroff.report.blocks import prose, section, table
from shroff.report.page import document


def require_page(path: Path) -> None:
    """Raise `ConfigurationError` unless a file's name ends in `.html`."""
    if path.suffix != ".html":
        raise ConfigurationError(f"{path}: expected a file whose name ends in .html.")


def write(found: Backtest, path: Path) -> None:
    """Write a backtest to a file; raises `BadFile`."""
    with written_whole(path) as file:
        file.write(render_backtest(found).encode())


def render_backtest(found: Backtest) -> str:
    """The report of a backtest as one HTML document."""
    first, *others = sentences(found)
    main = (
        tag("header", tag("h1", "What would this policy have done?"), prose(first)),
        section("In words", *map(prose, others)),
        section("Decisions", _table("Payments by decision", SIDES, side_rows(found))),
        section("Money", _table("Costs by the replayed policy", MONEY, money_rows(found))),
        section("Who changes sides", _table("Swap sets", SWAP, swap_rows(found))),
        section("Rules", _table("Rules, in their order", RULES, rule_rows(found))),
        section("The two policies", prose(_which(found))),
    )
    return document("Shroff backtest", html(*main))


def _which(found: Backtest) -> str:
    now, then = found.current, found.replayed
    return (
        f"Now: {now.model}, policy {now.policy}. Then: {then.model}, policy {then.policy}. "
        "Nothing that came later than a payment was used to decide it."
    )


def _table(caption: str, head: Sequence[str], rows: Sequence[Row]) -> Html:
    if not rows:
        return prose("None.")
    return table(
        caption,
        head,
        (tuple(html("" if cell is None else str(cell)) for cell in row.values()) for row in rows),
    )
