"""Figures of a run for notebooks, drawn by Matplotlib from the counts in its record, never rows.

This is the only file that imports Matplotlib.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final, Literal

from matplotlib.figure import Figure

from shroff.errors import ConfigurationError
from shroff.evaluate import cuts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from matplotlib.axes import Axes

    from shroff.evaluate.judgement import Judgement

_MIN_BAND_PAYMENTS: Final = 20
_MOST_COST_RATIO: Final = 2
"""The highest cost on a chart, as a multiple of that of approving everything."""
_INCHES: Final = (6.4, 4.8)
_COLOURS: Final = (
    *("#1f5fa8", "#b3402a", "#17683c", "#7b3fa0"),
    *("#8a6100", "#00707a", "#a02d6a", "#4d5560"),
)
"""At least 4.5 : 1 against white, as the report's."""
_DASHES: Final = ("-", "--", ":", "-.", (0, (7, 2)), (0, (3, 1)), (0, (5, 1, 1, 1, 1, 1)), "-")
"""Lines are told apart without their colours too."""


class Chart(Figure):
    """A figure that a notebook shows by itself, as a picture."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png", dpi=110)
        return picture.getvalue()


class Plots:
    """The figures of a finished run, all detectors on one chart each.

    Args:
        judged: each detector on the test part, by its name.
        cost: the `Cost` of its policy, as a record holds it.
    """

    def __init__(self, judged: Mapping[str, Judgement], cost: Mapping[str, Any]) -> None:
        self._judged = judged
        self._cost = cost

    def roc(self) -> Chart:
        """Frauds found against genuine payments flagged, as shares of the test part."""
        chart, axes = _chart(
            "ROC curve", "Share of genuine payments flagged", "Share of frauds found"
        )
        axes.plot([0, 1], [0, 1], color="#5a6572", linewidth=1, linestyle=":")
        return self._lines(
            chart, axes, {name: cuts.roc(one.bins) for name, one in self._judged.items()}
        )

    def precision_recall(self) -> Chart:
        """Precision against recall; the area beneath a line is the average precision."""
        chart, axes = _chart("Precision and recall", "Recall", "Precision")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        found = {name: cuts.precision_recall(one.bins) for name, one in self._judged.items()}
        return self._lines(chart, axes, found)

    def calibration(self) -> Chart:
        """The share of frauds against the mean probability, by bands of 20 payments or more, on
        logarithmic scales, as fraud is rare.
        """
        chart, axes = _chart("Calibration", "Mean probability", "Share of frauds")
        least = 1e-4
        axes.plot([least, 1], [least, 1], color="#5a6572", linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=least)
        found = {
            name: [
                (band.expected / band.payments, band.frauds / band.payments)
                for band in one.bands
                if band.payments >= _MIN_BAND_PAYMENTS
            ]
            for name, one in self._judged.items()
        }
        return self._lines(chart, axes, found, marker="o")

    def cost(self, action: Literal["review", "decline"] = "review") -> Chart:
        """The cost of a day against the payments flagged a day, if all of them are reviewed, or
        declined, in the currency of the amounts.

        Raises:
            ConfigurationError: another action, or costs that a record does not know: those of SQL
                expressions, or of amounts in several currencies.
        """
        if action not in ("review", "decline"):
            raise ConfigurationError("expected the action `review` or `decline`.")
        found = {
            name: cuts.costs(one.bins, self._cost, action) for name, one in self._judged.items()
        }
        known = {name: points for name, points in found.items() if points is not None}
        if len(known) < len(found):
            raise ConfigurationError(
                "expected costs that are numbers or the amount in one currency: a record has no "
                "payments to evaluate SQL expressions on."
            )
        done = {"review": "reviewed", "decline": "declined"}[action]
        title = f"Cost if all flagged payments are {done}"
        chart, axes = _chart(title, "Payments flagged a day", "Cost a day")
        axes.set_xscale("symlog", linthresh=1)
        # what flagging everything costs would hide all else
        without = max(points[0][1] for points in known.values())
        axes.set_ylim(0, _MOST_COST_RATIO * without if without else None)
        return self._lines(chart, axes, known)

    def _lines(
        self, chart: Chart, axes: Axes, curves: Mapping[str, cuts.Points], *, marker: str = ""
    ) -> Chart:
        for place, (name, points) in enumerate(curves.items()):
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                label=name,
                color=_COLOURS[place % len(_COLOURS)],
                linestyle=_DASHES[place % len(_DASHES)],
                linewidth=2,
                marker=marker,
            )
        axes.legend()
        return chart


def _chart(title: str, x: str, y: str) -> tuple[Chart, Axes]:
    chart = Chart(figsize=_INCHES, layout="constrained")
    axes = chart.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.3)
    return chart, axes
