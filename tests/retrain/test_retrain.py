"""Learning again from a ledger that was really written: what is learned, once, and whole or not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from benchmarks.loop import KEY, START
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from patience import until
from program import command, environment, shroff
from retrain.conftest import DEFINITIONS, END, OPTIONS, WORLD, Lived
from shroff.cli import app
from shroff.collect.times import DAY_US, iso_time
from shroff.errors import CheckFailed, ConfigurationError, UnsuitableSplit
from shroff.package import load
from shroff.retrain import RetrainingTerms, retrain
from shroff.retrain.dataset import LedgerDataset, ledger_dataset
from shroff.retrain.outcomes import HIDDEN, IMMATURE
from shroff.retrain.run import _alone, _unripe

AS_OF = iso_time(END, "seconds")


WORDS = ("retrain", DEFINITIONS, *OPTIONS, AS_OF, "--json")


def start(lived: Lived) -> subprocess.Popen[bytes]:
    variables = environment(lived.home.parent, lived.home, SHROFF_PERSONAL_KEY=KEY.hex())
    nobody = subprocess.DEVNULL
    return subprocess.Popen(
        command(*WORDS), env=variables, cwd=lived.home, stdout=nobody, stderr=nobody
    )


def run(lived: Lived) -> subprocess.CompletedProcess[str]:
    return shroff(lived.home, *WORDS, kept=lived.home, SHROFF_PERSONAL_KEY=KEY.hex())


def test_a_ledger_gives_each_payment_its_outcome_or_a_reason(lived: Lived) -> None:
    order, entries = lived.order(), lived.entries
    data = ledger_dataset(
        order.project,
        entries,
        mature=order.terms.mature(END),
        feedback=["analyst"],
        repeats=3,
        history=lived.history(),
    )
    payments = sum(one.kind == "payment" for one in entries)
    left_out = {why: many for why, (many, _) in data.left_out.items()}
    assert set(left_out) <= {HIDDEN, IMMATURE, "history without a label"}
    # four days are immature, except for what was labelled
    assert 0 < left_out[IMMATURE] <= WORLD.per_day * WORLD.delay_days * 1.3
    assert data.known + sum(left_out.values()) == payments + len(lived.history())
    unlabelled = lived.history()["is_fraud"].null_count()
    assert left_out.get("history without a label", 0) == unlabelled
    assert data.frame["is_fraud"].null_count() == unlabelled == len(data.frame) - data.known
    assert data.feedback == (data.repeats == 3).sum() > 0
    assert data.frame.columns == list(order.project.plan.schema.scales)


def replace_between_packaging_and_the_gates(lived: Lived, other: Path) -> None:
    """Stop behind packaging, put another sound bundle there, see it refused, and put it back."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("shroff.retrain.run.promote", stop)
        with pytest.raises(KeyboardInterrupt):
            retrain(lived.order(), lived.entries, lived.models, lived.runs)
    (run,) = lived.runs.all()
    assert run.bundle is not None
    folder = Path(run.bundle["folder"])
    made = folder.rename(folder.with_name("made"))
    shutil.copytree(other, folder)
    with pytest.raises(ConfigurationError, match=f"the run {run.run} packaged, got another"):
        retrain(lived.order(), lived.entries, lived.models, lived.runs)
    shutil.rmtree(folder)
    made.rename(folder)


def test_a_label_may_be_called_as_an_outcome_is(lived: Lived) -> None:
    order, history = lived.order(), lived.history()
    names = {"is_fraud": "fraud", "labelled_at": "labelled"}
    schema = order.project.schema
    project = replace(
        order.project,
        schema=msgspec.structs.replace(schema, label="fraud", labelled_at="labelled"),
    )
    mature = order.terms.mature(END)
    one, other = (
        ledger_dataset(each, lived.entries, mature=mature, history=past)
        for each, past in ((order.project, history), (project, history.rename(names)))
    )
    assert_frame_equal(one.frame.rename(names), other.frame, check_column_order=False)
    assert one.left_out == other.left_out


def test_days_of_the_history_on_which_only_frauds_have_a_label_are_found(lived: Lived) -> None:
    """Chargebacks of young payments come before anybody knows that the others were genuine."""
    order, history = lived.order(), lived.history()
    young = pl.col("created_at") > pl.lit(START + timedelta(days=WORLD.history_days // 2))
    unsaid = young & ~pl.col("is_fraud")
    labels = (pl.when(~unsaid).then(name).alias(name) for name in ("is_fraud", "labelled_at"))
    assert order.history is not None
    half = replace(order, history=(order.history[0], history.with_columns(labels)))
    done = retrain(half, lived.entries, lived.models, lived.runs)
    assert done.version is None
    assert "expected frauds and genuine payments of the training days to have labels alike" in str(
        done.refusal
    )
    counts = done.run.figures["ledger"]
    unlabelled = counts["left_out"]["history without a label"]
    assert unlabelled == history.select(unsaid.sum()).item() > 0
    parts = done.run.figures["parts"]
    assert parts["unlabelled"]["payments"] == unlabelled
    assert "history without a label" not in parts
    assert (
        counts["stand_for"]
        >= counts["payments"]
        == sum(one["payments"] for name, one in parts.items() if one["frauds"] is not None)
    )


def test_payments_that_came_late_are_told_as_too_young() -> None:
    """As of a log that was sent to a service at once: its days are old, its arrivals are not."""
    empty = pl.DataFrame()
    none = np.ones(0, np.int64)
    data = LedgerDataset(empty, empty, none, none, {IMMATURE: (21_909, None)}, 0, 0, 0)
    said = "expected frauds in the test days, got none; this log allows the split `time:1/2/3/4`"
    assert str(_unripe(UnsuitableSplit(said), data, 7)) == (
        "expected frauds in the test days, got none. In the ledger 21,909 payments without a label "
        "arrived less than 7 whole days (UTC) ago, too young to be genuine. Wait, say a shorter "
        "delay (--label-delay), or judge on another number of days (--test-days)."
    )
    few = UnsuitableSplit("expected at least 10 frauds to learn from, got 3")
    old = LedgerDataset(empty, empty, none, none, {}, 0, 0, 0)
    assert str(_unripe(few, old, 7)) == (
        "expected at least 10 frauds to learn from, got 3. Wait, say a shorter delay "
        "(--label-delay), or judge on another number of days (--test-days)."
    )
    assert str(_unripe(few, data, 0)).endswith(
        " In the ledger 21,909 payments without a label arrived today (UTC), too young to be "
        "genuine. Wait, or judge on another number of days (--test-days)."
    )


def test_a_candidate_comes_of_it_and_the_same_again_is_nothing_new(lived: Lived) -> None:
    order, entries, models = lived.order(), lived.entries, lived.models
    first = models.production()
    assert first is not None
    before = models.pointers
    replace_between_packaging_and_the_gates(lived, models.folder / "versions" / first.version)
    assert models.pointers == before
    done = retrain(order, entries, models, lived.runs)
    assert (done.new, done.stage, done.refusal) == (True, "candidate", None)
    assert [one.gate for one in done.gates] == ["doctor", "parity", "latency"]
    change = models.pointers.changes[-1]
    assert (change.action, change.role, change.version) == ("promote", "shadow", done.version)
    assert done.run.run in str(change.note)
    split = str(done.run.figures["split"])
    assert split.endswith(f"/{WORLD.delay_days}/{WORLD.test_days},early_labels=learn")
    assert done.run.figures["ledger"]["payments"] > 1_000
    assert done.run.inputs["ledger"]["records"] == entries[-1].seq
    again = retrain(order, entries, models, lived.runs)
    assert (again.new, again.version, again.stage) == (False, done.version, "candidate")
    assert len(lived.runs.all()) == 1
    assert len(models.pointers.changes) == 2
    # at another moment other payments are mature, so that it is another retraining
    with pytest.raises(UnsuitableSplit, match="expected payments of 7 days or more"):
        retrain(lived.order(END - 45 * DAY_US), entries, models, lived.runs)
    elsewhere = replace(order, terms=RetrainingTerms(delay_days=4, test_days=5))
    with _alone(lived.home), pytest.raises(ConfigurationError, match="another retraining is"):
        retrain(elsewhere, entries, models, lived.runs)


def test_a_killed_retraining_leaves_no_half_candidate_and_goes_on(lived: Lived) -> None:
    """Killed once while it fits and once when its bundle is whole; two at once are one."""
    before = lived.models.pointers
    killed = start(lived)
    fits = lambda: list((lived.home / "runs").glob("*/run.json"))  # noqa: E731  # a condition
    until(fits, said=lambda: str(killed.poll()))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert lived.models.pointers == before
    assert lived.runs.status(lived.runs.all()[0]) == "killed"

    killed = start(lived)
    until(lambda: list((lived.home / "runs").glob("*/bundle/manifest.json")))
    killed.send_signal(signal.SIGSTOP)
    refused = run(lived)
    assert "another retraining is running" in refused.stderr
    assert refused.returncode == 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    made = lived.models.versions

    document = json.loads(run(lived).stdout)
    assert document["stage"] == "candidate"
    assert len(lived.runs.all()) == 1
    assert lived.runs.status(lived.runs.all()[0]) == "finished"
    pointers = lived.models.pointers  # read with its chain
    assert pointers.shadow == document["version"]
    assert len(pointers.changes) == len(before.changes) + 1
    assert set(lived.models.versions) == {*made, pointers.production, pointers.shadow}
    assert load(lived.models.folder / "versions" / document["version"]).version
    assert not list((lived.models.folder / "versions").glob(".*"))


def test_a_refused_retraining_that_goes_on_is_new_once(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier run that was stopped had refused nothing."""

    ends = iter([KeyboardInterrupt(), CheckFailed("the doctor refused it.")])

    def end(*_: object, **__: object) -> None:
        raise next(ends)

    monkeypatch.setattr("shroff.retrain.run.package", end)
    order = lived.order()
    with pytest.raises(KeyboardInterrupt):
        retrain(order, lived.entries, lived.models, lived.runs)
    done, again = (retrain(order, lived.entries, lived.models, lived.runs) for _ in range(2))
    assert done.refusal == again.refusal == "the doctor refused it."
    assert (done.new, again.new) == (True, False)
    assert len(lived.runs.all()) == 1


def test_the_command_says_what_came_of_it(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lived.home)
    monkeypatch.setenv("SHROFF_HOME", str(lived.home))
    monkeypatch.setenv("SHROFF_PERSONAL_KEY", KEY.hex())
    words = ["retrain", str(DEFINITIONS), *OPTIONS, AS_OF]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "is in the stage candidate" in said.output
    assert f"{IMMATURE}." in said.output
    again = CliRunner().invoke(app, words)
    assert "Nothing new: these records and definitions made version" in again.output
    # whoever asks for it is in the history
    assert lived.models.pointers.changes[-1].by
    wrong = CliRunner().invoke(app, [*words[:-1], "yesterday"])
    assert "--as-of: expected a day such as 2026-01-31" in str(wrong.exception)
    hours = CliRunner().invoke(app, [*words, "--label-delay", "36h"])
    assert "expected whole days such as 21d, got 36h" in " ".join(hours.output.split())
    (lived.home / "models").rename(lived.home / "elsewhere")
    none = CliRunner().invoke(app, [*words[:2], "--as-of", AS_OF])
    assert "no model is in production yet" in str(none.exception)


def test_definitions_are_read_anew_each_time(lived: Lived, tmp_path: Path) -> None:
    from shroff.retrain.run import LedgerExtent, state_of

    order, entries = lived.order(), lived.entries
    state = state_of(order, LedgerExtent.of(entries))
    assert state == state_of(replace(order, now=END + 1), LedgerExtent.of(entries))
    assert state != state_of(replace(order, now=END + DAY_US), LedgerExtent.of(entries))
    assert state != state_of(order, LedgerExtent.of(entries[:-1]))
    changed = tmp_path / "project.py"
    changed.write_text(DEFINITIONS.read_text() + "\n# changed\n")
    assert state != state_of(replace(order, path=changed), LedgerExtent.of(entries))
