"""The section of a report that compares ways to decide in money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shroff.evaluate.cost import AMOUNT
from shroff.evaluate.expected import MAX_COST
from shroff.evaluate.report import guaranteed
from shroff.experiment import RunRecord
from shroff.markup import Html, html
from shroff.report.blocks import detector_name, prose, section, table, words


def money_section(record: RunRecord) -> Html:
    """What each way to decide costs on the test part, for every detector."""
    rows = []
    for name, one in record.evaluation.items():
        for outlay in one.decisions:
            figures = (outlay.reviews, outlay.challenges, outlay.declines, outlay.cost)
            cells = (html(f"{figure:,.2f}") for figure in figures)
            rows.append((detector_name(name), html(outlay.way), *cells))
    if not rows:
        return Html("")
    return section(
        "Decisions in money",
        prose(
            "What decisions come to per day on the test part, by its labels and without rules. One "
            "pair of thresholds is the same for all payments; the cheapest action weighs for each "
            "payment what approving, reviewing or declining it is expected to cost. "
            f"{_price(record)}"
        ),
        *_guarantees(record),
        table(
            "Decisions a day",
            ("Detector", "Way to decide", "Reviews", "Challenges", "Declines", _cost(record)),
            rows,
        ),
    )


def currency_of(record: RunRecord) -> str | None:
    """The currency that a run counts money in; None where amounts are in several, or of a run by an
    earlier release.
    """
    currency: str | None = record.figures.get("currency")
    return currency


def _cost(record: RunRecord) -> str:
    currency = currency_of(record)
    return f"Cost ({currency})" if currency else "Cost"


def _guarantees(record: RunRecord) -> list[Html]:
    """What the policy guarantees of each detector's declines."""
    found = {name: one.get("guarantee") for name, one in record.figures["detectors"].items()}
    return [prose(guaranteed(words(name), one)) for name, one in found.items() if one]


def cost_in_words(value: float | str | Mapping[str, Any]) -> str:
    """A cost as a number, what it is computed by, or what a review takes."""
    if isinstance(value, Mapping):
        minutes = cost_in_words(value["minutes"])
        return f"{minutes} minutes at {value['per_hour']:g} an hour{_waiting(value)}"
    if isinstance(value, str):
        return "its amount" if value == AMOUNT else f"by `{value}`"
    return f"{value:g}"


def _waiting(review: Mapping[str, Any]) -> str:
    days = review.get("within_days")
    if days is None:
        return ""
    done = {"approve": "approved", "decline": "declined"}[review["expired"]]
    when = f"within {days} day{'s' if days > 1 else ''}" if days else "on the same day"
    return f" ({done} where nobody does it {when})"


def _price(record: RunRecord) -> str:
    best = record.figures["best"]
    found = record.figures["detectors"][best].get("by_cost")
    if not found or not 0 < found["review_price"] < MAX_COST:
        return ""
    return (
        f"For {words(best).lower()} a {_unit(record)} is weighed as if it cost "
        f"{found['review_price']:,.2f} more than it does, so that reviews keep to the capacity of "
        f"a day; they did on {found['kept_days']:.0%} of the held-out days."
        f"{_expired(found.get('expired_reviews'))}"
    )


def _unit(record: RunRecord) -> str:
    by_minutes = isinstance(record.parameters["policy"]["cost"]["review"], Mapping)
    return "minute of a review" if by_minutes else "review"


def _expired(share: float | None) -> str:
    return f" {share:.1%} of the reviews would not be done in time." if share else ""
