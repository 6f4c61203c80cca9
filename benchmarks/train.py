"""A whole run of `shroff train` beside the same work written by hand, stage by stage.

    python -m benchmarks.train [--payments 600000] [--rounds 2]
    python -m benchmarks.train --memory-of 10000000     # the peak of `shroff train` on 30 features

Simulated payments of 90 days, 14 window features of card and merchant, the amount and three names;
`BoostedTrees` on `time:70/30`. The work: read, features, three held-out fits and the last one with
the calibration (`fits`), figures of the training and the test part, checks of the doctor, and what
a report needs: intervals by 200 replicates over cards, and what each input is worth
(`evaluation`). Ours also cleans the payments, shows segments, and finds thresholds by money.

By hand (`train_by_hand.py`): Polars, LightGBM, scikit-learn, with the same parameters, once with
one thread for each fit and once with all cores. `bare` is one `lightgbm.train` on the training
part. Each way runs in a process of its own, in turns; of the rounds the least counts, the
processor's seconds (user and system) bear a busy machine better than the clock. Peak memory is the
process's own (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter, process_time, sleep
from typing import Final, NamedTuple, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table

STAGES: Final = ("read", "features", "fits", "figures", "doctor", "evaluation")
DAYS: Final = 90
SPLIT: Final = "time:2024-01-01/56/7/27"
"""What `time:70/30` becomes on this log."""
STEPS: Final = {
    "compute features": "features",
    "train boosted_trees": "fits",
    "judge boosted_trees": "figures",
    "examine the data": "doctor",
}
"""Our steps, and the stages that they are."""
ALL_CORES: Final = 0
OURS: Final = "shroff"
BY_HAND: Final = "by hand, {}"
BARE: Final = "bare fit, {}"
THREADS: Final = {"one thread a fit": 1, "all cores a fit": ALL_CORES}

Done: TypeAlias = Callable[[str], None]
Seconds: TypeAlias = dict[str, tuple[float, float]]
"""By the clock and of the processor, by stage."""


class Watch:
    """Seconds of each stage, by the clock and of the processor."""

    def __init__(self) -> None:
        self.stages: Seconds = {}
        self._last = perf_counter(), process_time()

    def done(self, stage: str) -> None:
        """Count what has passed since the stage before."""
        now = perf_counter(), process_time()
        clock, used = self.stages.get(stage, (0.0, 0.0))
        self.stages[stage] = (clock + now[0] - self._last[0], used + now[1] - self._last[1])
        self._last = now


def prepare(payments: int, target: Path) -> None:
    """Write the log: id, at, customer, terminal, cents, fraud, and three names."""
    import polars as pl

    from shroff.simulate import simulate

    simulate(payments, days=DAYS, fraud_rate=0.01, seed=1).select(
        id=pl.int_range(pl.len(), dtype=pl.Int64).cast(pl.String),
        at=pl.col("created_at").dt.replace_time_zone(None),
        customer="card_id",
        terminal="merchant_id",
        cents=(pl.col("amount") * 100).round().cast(pl.Int64),
        fraud=pl.col("is_fraud").cast(pl.Boolean),
        mcc="mcc",
        request_country="request_country",
        account_country="account_country",
    ).write_parquet(target)


def shroff(source: Path, done: Done) -> float:
    """Our run, as `shroff train` walks it; average precision on the test part."""
    from benchmarks.features_peers import definitions
    from benchmarks.train_by_hand import NOMINAL
    from shroff import Project, Schema
    from shroff.detect import BoostedTrees
    from shroff.experiment.judgement import evaluations, importances
    from shroff.pipeline import logged_payments, train_models

    group, _, _ = definitions()
    schema = Schema(
        id="id",
        time="at",
        timezone="UTC",
        amount="cents",
        label="fraud",
        nominal=list(NOMINAL),
        keys=["customer", "terminal"],
    )
    project = Project(schema=schema, features=[group], detectors=[BoostedTrees()], card="customer")
    done("imports")
    payments = logged_payments(project, source, key=bytes(16))
    stage = "read"

    def step(name: str) -> None:
        nonlocal stage
        done(stage)
        stage = STEPS[name]

    run = train_models(project, payments.frame, split=SPLIT, progress=step)
    done(stage)
    evaluations(run)
    importances(run, run.best)
    done("evaluation")
    return run.best.test.average_precision


def one(way: str, source: Path) -> None:
    """Run one way in this process, and print what it took as JSON."""
    watch = Watch()
    if way == OURS:
        found = shroff(source, watch.done)
    else:
        from benchmarks import train_by_hand
        from shroff.evaluate import TemporalSplit, parse_split

        split = parse_split(SPLIT)
        assert isinstance(split, TemporalSplit)
        kind, _, name = way.partition(", ")
        work = train_by_hand.run if BY_HAND.startswith(kind) else train_by_hand.bare
        watch.done("imports")
        found = work(source, split, threads=THREADS[name], done=watch.done)
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"stages": watch.stages, "peak": int(peak) * 1024, "ap": found}))


class Result(NamedTuple):
    """The least seconds of the rounds, the peak memory in bytes, average precision."""

    stages: Seconds
    peak: int
    ap: float

    def total(self, of: int) -> float:
        """Seconds of all counted stages: 0, by the clock; 1, of the processor."""
        return sum(self.stages[stage][of] for stage in STAGES if stage in self.stages)

    def least(self, other: Result | None) -> Result:
        """The better of two rounds, by the processor's seconds."""
        return self if other is None or self.total(1) <= other.total(1) else other


def measured(way: str, source: Path) -> Result:
    """One way in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.train", "--one", way, str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    stages = {name: (clock, used) for name, (clock, used) in found["stages"].items()}
    return Result(stages, found["peak"], found["ap"])


PROJECT: Final = """
from shroff import Entity, FeatureGroup, Project, Schema
from shroff.detect import BoostedTrees
from shroff.simulate import RATES

card, account, host, merchant = (
    Entity(name, f"{name}_id") for name in ("card", "account", "host", "merchant")
)
hours, days = ["1h", "1d", "7d"], ["1d", "7d", "30d"]
schema = Schema(
    id="transaction_id", time="created_at", amount="amount", currency="currency", rates=RATES,
    label="is_fraud", nominal=["mcc", "request_country", "account_country"],
)
group = FeatureGroup("thirty", [
    card.count([*hours, "30d"]), card.total("amount", [*hours, "30d"]), card.mean("amount", days),
    card.distinct("host_id", ["1d", "7d"]), card.seconds_since_last("7d"), card.count("14d"),
    account.count(hours), account.distinct("card_id", ["1d", "7d"]),
    host.count(["1h", "1d"]), host.distinct("card_id", ["1h", "1d"]),
    merchant.count(["1h", "1d"]), merchant.mean("amount", "7d"), merchant.risk(days, delay="7d"),
])
project = Project(
    schema=schema, features=[group], detectors=[BoostedTrees(n_trees=TREES)], card="card_id",
    split="time:70/30",
)
"""
"""Trees take time, not memory."""


def peak_of(payments: int, trees: int) -> str:
    """What `shroff train` took at most on a raw Parquet log, with its clock and processor."""
    with tempfile.TemporaryDirectory() as folder:
        log, project = Path(folder) / "payments.parquet", Path(folder) / "project.py"
        project.write_text(PROJECT.replace("TREES", str(trees)))
        make = "import sys; from shroff.simulate import simulate; " + (
            f"simulate({payments}, days={DAYS}, fraud_rate=0.01).write_parquet(sys.argv[1])"
        )
        subprocess.run([sys.executable, "-c", make, str(log)], check=True)
        before, started = getrusage(RUSAGE_CHILDREN), perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "shroff", "train", str(project), "--data", str(log), "--json"],
            env=os.environ | {"SHROFF_HOME": folder},
            stdout=subprocess.DEVNULL,
        ) as process:
            status, peak = Path(f"/proc/{process.pid}/status"), 0
            while process.poll() is None:
                found = [line for line in status.read_text().splitlines() if "VmHWM" in line]
                peak = max(peak, *(int(line.split()[1]) << 10 for line in found), 0)
                sleep(0.05)
        after = getrusage(RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(process.returncode)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"shroff train on {payments:,} payments x 30 features: at most {peak / 1e9:.2f} GB, "
        f"{perf_counter() - started:,.0f} s, {used:,.0f} s of the processor with {trees} trees"
    )


def report(results: Mapping[str, Result], payments: int) -> Table:
    """A line for each way; ratios are ours over theirs."""
    load = os.getloadavg()[0]
    title = f"{payments:,} payments, load {load:.1f}: seconds by the clock / of the processor"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for head in ("", *STAGES, "all", "ours over it", "peak memory", "ours over it", "AP"):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    ours = results[OURS]
    for way, result in results.items():
        cells = [
            "" if stage not in result.stages else "{:.1f} / {:.1f}".format(*result.stages[stage])
            for stage in STAGES
        ]
        clock, used = result.total(0), result.total(1)
        table.add_row(
            way,
            *cells,
            f"{clock:.1f} / {used:.1f}",
            f"{ours.total(0) / clock:.2f} / {ours.total(1) / used:.2f}",
            f"{result.peak / 2**30:.2f} GiB",
            f"{ours.peak / result.peak:.2f}",
            f"{result.ap:.4f}",
        )
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=600_000, help="how many to simulate")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way, in turns")
    parser.add_argument("--only", default="", help="ways that contain this text, and ours")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "SOURCE"), help=argparse.SUPPRESS)
    parser.add_argument("--make", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", type=int, metavar="PAYMENTS", help="the peak memory instead")
    parser.add_argument("--trees", type=int, default=300, help="of --memory-of")
    given = parser.parse_args()
    if given.memory_of:
        print(peak_of(given.memory_of, given.trees))
        return
    if given.one:
        one(given.one[0], Path(given.one[1]))
        return
    if given.make:
        prepare(given.payments, Path(given.make))
        return
    ways = [OURS, *(kind.format(name) for kind in (BY_HAND, BARE) for name in THREADS)]
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "payments.parquet"
        # apart from this process, whose memory its children would begin with
        make = ["-m", "benchmarks.train", "--make", str(source), "--payments", str(given.payments)]
        subprocess.run([sys.executable, *make], check=True)
        for _ in range(given.rounds):
            for way in ways:
                if way == OURS or given.only in way:
                    results[way] = measured(way, source).least(results.get(way))
                    print(way, results[way].total(0), file=sys.stderr)
    Console(width=190).print(report(results, given.payments))


if __name__ == "__main__":
    main()
