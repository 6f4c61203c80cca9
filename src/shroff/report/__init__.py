"""Report: one run as one HTML file that anybody can open, print and forward; and its model card.

Reads a `RunRecord` of a run that finished; amounts are in major units of its currency,
probabilities are calibrated, and a threshold flags payments at or above it. A card also reads what
people declared (`ModelCard`) and the changes of the model's stage. Promises a file of at most 1 MB
that fetches nothing, holds counts and never a payment, says everything without JavaScript, and runs
no script but its own (by a strict content security policy): a slider that moves the threshold. A
card runs none, and says of all that it lacks that it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.report.card import CardRecords, declared_of, gaps, render_card
    from shroff.report.declared import ModelCard
    from shroff.report.page import render

__all__ = ["CardRecords", "ModelCard", "declared_of", "gaps", "render", "render_card"]

# a project declares a card without loading what renders one
__getattr__ = loading(
    __name__,
    {
        "CardRecords": "card",
        "ModelCard": "declared",
        "declared_of": "card",
        "gaps": "card",
        "render": "page",
        "render_card": "card",
    },
)
