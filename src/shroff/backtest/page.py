"""A backtest as one HTML file: sentences and tables, without a script and without a payment."""

from __future__ import annotations

from pathlib import Path

from shroff.backtest.replay import Backtest
from shroff.backtest.words import (
    Table,
    money_table,
    rule_table,
    sentences,
    side_table,
    swap_table,
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
        section(
            "Decisions",
            prose(
                "Now is the current policy, then the replayed one; beside each are the known "
                "frauds and the payments of unknown outcome among its decisions."
            ),
            _table("Payments by decision", side_table(found)),
        ),
        section(
            "Money",
            prose(
                "Known is over payments whose outcome is known. At least and at most add what each "
                "of the others costs if it is genuine or if it is a fraud."
            ),
            _table("Costs by the replayed policy", money_table(found)),
        ),
        section(
            "Who changes sides",
            prose(
                "A payment is stopped if it is not approved. Intervals are of 95 %, by bootstrap "
                "over cards."
            ),
            _table("Swap sets", swap_table(found)),
        ),
        section("Rules", *_rules(found)),
        section("The two policies", prose(_which(found))),
    )
    return document("Shroff backtest", html(*main))


def _rules(found: Backtest) -> tuple[Html, ...]:
    if not found.rules:
        return (prose("The replayed policy has none."),)
    conditions = (
        each
        for rule in found.rules
        for each in (tag("dt", rule.name), tag("dd", tag("code", rule.condition)))
    )
    return (
        prose(
            "The first rule that holds decides. Precision is the share of frauds among the "
            "payments of known outcome at which a rule holds; unique are the known frauds that "
            "neither another rule nor the model stops."
        ),
        _table("Rules, in their order", rule_table(found)),
        tag("h3", "Their conditions"),
        tag("dl", *conditions, class_="facts"),
    )


def _which(found: Backtest) -> str:
    now, then = found.current, found.replayed
    return (
        f"Now: {now.model}, policy {now.policy}. Then: {then.model}, policy {then.policy}. "
        "Nothing that came later than a payment was used to decide it."
    )


def _table(caption: str, content: Table) -> Html:
    heads, rows = content
    if not rows:
        return prose("None.")
    cells = (
        tuple(html("" if cell is None else str(cell)) for cell in row.values()) for row in rows
    )
    return table(caption, heads, cells)
