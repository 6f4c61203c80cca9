"""The section of a report with detectors that learned anew for each stretch of the test part."""

from __future__ import annotations

from shroff.evaluate.report import judged_days
from shroff.experiment import RunRecord
from shroff.markup import Html, html
from shroff.report.blocks import detector_name, prose, section, table

_FIGURES = {
    "ROC AUC": "roc_auc",
    "Average precision": "average_precision",
    "Card precision": "card_precision_at_k",
}


def prequential_section(record: RunRecord) -> Html:
    """Each detector by stretch of the test part, if the split had folds."""
    detectors = record.figures["detectors"].items()
    found = {name: one["prequential"] for name, one in detectors if "prequential" in one}
    if not found:
        return Html("")
    shown = {
        title: name
        for title, name in _FIGURES.items()
        if name in next(iter(found.values()))["mean"]
    }
    rows = []
    for name, one in found.items():
        for fold in one["folds"]:
            cells = (f"{fold['frauds']:,}", *(f"{fold[figure]:.3f}" for figure in shown.values()))
            rows.append((detector_name(name), *map(html, (judged_days(fold["fold"]), *cells))))
        means = (f"{one['mean'][each]:.3f} ± {one['std'][each]:.3f}" for each in shown.values())
        rows.append((detector_name(name), *map(html, ("mean ± standard deviation", "", *means))))
    return section(
        "Learned anew",
        prose(
            "The test part in successive stretches, each judged by a detector that learned anew "
            "from the days up to the label delay before it, as if it were trained again each time. "
            "Where these figures are better than those above, training often pays; as far as they "
            "differ between stretches, those of the next may differ too."
        ),
        table(
            "Figures by stretch of the test part", ("Detector", "Stretch", "Frauds", *shown), rows
        ),
    )
