"""The section of a report with the figures that regulators and card schemes watch."""

from __future__ import annotations

from shroff.experiment import RunRecord
from shroff.markup import Html, html
from shroff.report.blocks import prose, section, table

_LAST_MONTHS = 6


def schemes_section(record: RunRecord) -> Html:
    """The log's PSD2 fraud rates by quarter and its VAMP ratio by month, if they were recorded."""
    found = record.figures.get("schemes")
    if not found:
        return Html("")
    rates = [
        (
            html(f"{row['day'][:4]} Q{(int(row['day'][5:7]) + 2) // 3}"),
            html(f"{row['days']}"),
            html("–" if row["fraud_rate"] is None else f"{10_000 * row['fraud_rate']:,.2f}"),
            html(_upto(row["threshold"])),
            html(_upto(row["usable"])),
        )
        for one in found["fraud_rates"].values()
        for row in one["quarters"]
    ]
    ratios = [
        (
            html(row["month"][:7]),
            html(f"{row['settled']:,}"),
            html(f"{row['frauds']:,}"),
            html("–" if row["ratio"] is None else f"{row['ratio']:.2%}"),
            html(row["level"] or "before VAMP"),
        )
        for row in found["vamp"][-_LAST_MONTHS:]
    ]
    return section(
        "Schemes and regulators",
        prose(
            "Of the whole log, whatever detectors do: all payments count as remote, executed and "
            "by card, and a fraud on the day of its payment. The fraud rate of PSD2 is the value "
            "of frauds over the value of all payments; a quarter of few days says little. `shroff "
            "schemes` chooses the payments, and counts frauds on the day of their registration."
        ),
        table(
            "PSD2 fraud rate",
            ("Quarter", "Days", "Basis points", "Allows without authentication", "Left after it"),
            rates,
        ),
        table(
            "Visa VAMP, without disputes", ("Month", "Settled", "Frauds", "Ratio", "Level"), ratios
        ),
    )


def _upto(threshold: int) -> str:
    return f"up to {threshold} EUR" if threshold else "nothing"
