"""Figures for notebooks: what is drawn follows from the counts, and a notebook shows it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import msgspec
import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from shroff import Cost, load_run
from shroff.errors import ConfigurationError
from shroff.evaluate import HeldOut, cuts, total_cost
from shroff.experiment import RunRecord, Runs

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "run.ipynb"
PAYMENT = st.tuples(st.booleans(), st.sampled_from([0.1, 0.3, 0.7]), st.integers(0, 500))


@settings(max_examples=60)
@given(
    payments=st.lists(PAYMENT, min_size=1, max_size=12),
    missed=st.sampled_from(["amount", 40.0]),
    miss_rate=st.sampled_from([0.0, 0.25]),
    action=st.sampled_from(["review", "decline"]),
)
def test_a_point_of_the_cost_is_the_cost_of_those_decisions(
    payments: list[tuple[bool, float, int]],
    missed: float | str,
    miss_rate: float,
    action: Literal["review", "decline"],
) -> None:
    y, p, amount = (np.array(column) for column in zip(*payments, strict=True))
    cost = Cost(review=3.0, missed=missed, declined=15.0, miss_rate=miss_rate)
    bins = HeldOut.of(y, p, amount.astype(float), days=2.0, bins=400)
    found = cuts.costs(bins, asdict(cost), action)
    if missed == "amount" and not amount[y].sum():
        assert found is None
        return
    assert found is not None
    thresholds = [2.0, *(one.threshold for one in cuts.cuts(bins))]
    for threshold, (flagged, paid) in zip(thresholds, found, strict=True):
        acted = np.where(p >= threshold, action, "approve")
        assert flagged == (p >= threshold).sum() / 2
        assert paid == pytest.approx(total_cost(y, acted, amount.astype(float), cost) / 2)


def test_all_detectors_are_on_each_chart(record: RunRecord) -> None:
    plot, names = record.plot, list(record.evaluation)
    for chart in (plot.roc(), plot.precision_recall(), plot.calibration(), plot.cost("decline")):
        (axes,) = chart.axes
        legend = axes.get_legend()
        assert legend is not None
        labels = [text.get_text() for text in legend.get_texts()]
        drawn = {str(line.get_label()): line for line in axes.get_lines()}
        assert labels == names
        assert len({str(drawn[name].get_color()) for name in names}) == len(names)
        assert len({str(drawn[name].get_linestyle()) for name in names}) == len(names)
        assert chart._repr_png_().startswith(b"\x89PNG")
    line = {str(one.get_label()): one for one in plot.roc().axes[0].get_lines()}["boosted_trees"]
    area = float(np.trapezoid(np.asarray(line.get_ydata()), np.asarray(line.get_xdata())))
    figures = record.figures["detectors"]["boosted_trees"]["test"]
    assert area == pytest.approx(figures["roc_auc"], abs=0.01)


def test_what_a_record_cannot_say_is_refused(record: RunRecord) -> None:
    cost = {"review": 4.0, "missed": "amount * 2", "declined": 15.0}
    priced = msgspec.structs.replace(record, parameters={"policy": {"cost": cost}})
    with pytest.raises(ConfigurationError, match="no payments to evaluate SQL"):
        priced.plot.cost()
    with pytest.raises(ConfigurationError, match="the action `review` or `decline`"):
        record.plot.cost("approve")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(ConfigurationError, match="did not finish"):
        _ = msgspec.structs.replace(record, evaluation={}).plot


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_shows_every_figure(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SHROFF_HOME": tmp_path,
        "IPYTHONDIR": tmp_path / "ipython",
        "JUPYTER_RUNTIME_DIR": tmp_path / "jupyter",
        "MPLCONFIGDIR": tmp_path / "matplotlib",
    }.items():
        monkeypatch.setenv(name, str(value))
    with Runs(tmp_path / "runs").begin(record.parameters, record.inputs) as recording:
        recording.figures, recording.evaluation = record.figures, record.evaluation
    assert load_run().run == load_run(recording.record.run[:-1]).run
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # it has no types
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [
        (cell.source, [kind for one in cell.outputs for kind in one.get("data", {})])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    figures = [kinds for source, kinds in shown if "plot" in source]
    assert len(figures) == 6
    assert all("image/png" in kinds for kinds in figures)
