"""Six months of a service that learns again, and of two that do not as they should.

    python -m benchmarks.loop --out loop.html
    python -m benchmarks.loop --small

A simulated log is decided payment by payment by the real scorer over a real ledger, on a simulated
clock. Two months of history train the first model. Cards that are bled slowly, a pattern that
history lacks, come up in month four. Labels come as they do in life: a chargeback, a week after the
fraud in the median and 60 days at most, for a payment that was let pass; an investigator's word the
next day for one that was reviewed; nothing at all for one that was declined. Three arms see the
same payments, and learn again every month:

    no retraining   the first model decides to the end
    naive           learns again from what was decided in the last two months: whatever has no label
                    yet is genuine, declined payments are left out
    ours            `shroff retrain` over as many days: mature labels, early ones, the control
                    lane's weights

Each retrained model decides at once, whatever the gate `better` says of it, so that what is
compared is what they learn from; what the gate says is printed. Recall is of all frauds by amount,
money is what decisions cost by the policy (missed frauds, wrong declines, reviews), both by the
simulation's truth, which no arm sees.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from benchmarks.loop_project import project, with_lane
from shroff.arrays import Bools, Floats
from shroff.collect import clean
from shroff.collect.times import DAY_US
from shroff.control.models import Models
from shroff.evaluate import total_cost
from shroff.experiment import Run, Runs
from shroff.ledger import Ledger
from shroff.location import Location
from shroff.markup import join, tag
from shroff.pipeline import package, train_models
from shroff.promotion import Budget
from shroff.report.charts import lines
from shroff.report.page import document
from shroff.retrain import Order, RetrainingTerms, retrain
from shroff.retrain.dataset import ledger_dataset
from shroff.scoring.scorer import Scorer
from shroff.simulate import RATES, simulate

KEY: Final = bytes(range(16))
ARMS: Final = ("no retraining", "naive", "ours")
START: Final = datetime(2024, 1, 1, tzinfo=UTC)
NEW_PATTERN: Final = "slow_bleed"
_TOGETHER: Final = 32
_DAY: Final = timedelta(days=1)


class World(NamedTuple):
    """How much is simulated; months have 30 days."""

    per_day: int = 200
    history_days: int = 60
    months: int = 6
    every_days: int = 30
    fraud_rate: float = 0.06
    delay_days: int = 14
    test_days: int = 7
    train_days: int = 60
    seed: int = 1

    @property
    def days(self) -> int:
        """All days, history and the months that are decided."""
        return self.history_days + 30 * self.months


SMALL: Final = World(
    per_day=60,
    history_days=30,
    months=2,
    every_days=30,
    fraud_rate=0.08,
    delay_days=7,
    test_days=7,
    train_days=45,
)


@dataclass
class Arm:
    """A service with its ledger, models and runs, and what it decided."""

    name: str
    home: Path
    actions: dict[str, str] = field(default_factory=dict)
    trainings: int = 0


def world_log(world: World) -> pl.DataFrame:
    """The simulated log in euro, without the new pattern before month four."""
    log = simulate(
        world.per_day * world.days,
        days=world.days,
        start=START.date().isoformat(),
        fraud_rate=world.fraud_rate,
        seed=world.seed,
    )
    rates = {one.currency: float(one.rate) for one in RATES.rates} | {RATES.base: 1.0}
    rate = pl.col("currency").replace_strict(rates, return_dtype=pl.Float64)
    since = START + _DAY * (world.history_days + 30 * (world.months // 2))
    new = (pl.col("fraud_pattern") == NEW_PATTERN).fill_null(value=False)
    return (
        log.with_columns((pl.col("amount") * rate).round(2).clip(0.01).alias("amount"))
        .filter(~(new & (pl.col("created_at") < since)))
        .with_columns(pl.col("is_fraud").cast(pl.Boolean))
        .select(*project.plan.schema.scales, "fraud_pattern")
    )


def main() -> None:
    """Run all arms, print a table, write a plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="two months, in seconds")
    parser.add_argument("--out", type=Path, default=None, help="an HTML file with the plots")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    world = SMALL if given.small else World()
    if given.seed is not None:
        world = world._replace(seed=given.seed)
    table = run(world)
    print(table_of(table))
    if given.out is not None:
        given.out.write_text(page_of(table))
        print(f"{given.out}: recall and money over time.")


def run(world: World, arms: Sequence[str] = ARMS) -> pl.DataFrame:
    """A row for each arm and month: frauds, recall by amount, and what decisions cost."""
    log = world_log(world)
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    rows = list[dict[str, object]]()
    with tempfile.TemporaryDirectory(dir=place) as folder:
        home = Path(folder)
        past = log.filter(pl.col("created_at") < START + _DAY * world.history_days)
        past.drop("fraud_pattern").write_parquet(home / "history.parquet")
        history = clean(past, project.plan.schema, key=KEY).frame
        made = first_run(history)
        first = {
            one: package(each, made, home / folder, accept=_ACCEPTED).folder
            for one, each, folder in ((False, project, "plain"), (True, with_lane, "lane"))
        }
        for name in arms:
            arm, began = Arm(name, home / name.replace(" ", "_")), time.perf_counter()
            asyncio.run(live(arm, world, log, history, first[name == "ours"]))
            print(f"{name}: {arm.trainings} trainings, {time.perf_counter() - began:.0f} s")
            rows += _months(arm, world, log)
    return pl.DataFrame(rows)


def first_run(history: pl.DataFrame) -> Run:
    """The training on history, judged by its last ten days."""
    days = int((history["created_at"].max() - START) / _DAY)  # type: ignore[operator]  # a time
    return train_models(project, history, split=f"time:{START:%Y-%m-%d}/{days - 10}/0/10")


_ACCEPTED: Final = ("calibration",)
"""Of small logs a test part is too short for the doctor's check of calibration."""


async def live(
    arm: Arm, world: World, log: pl.DataFrame, history: pl.DataFrame, first: Path
) -> None:
    """Decide all months, and learn again every so many days, as the arm does."""
    clock = [0]
    models, url = Models(arm.home / "models"), f"sqlite:///{arm.home / 'ledger.db'}"
    arm.home.mkdir()
    models.publish(first)
    live = log.filter(pl.col("created_at") >= START + _DAY * world.history_days)
    begin = int((START + _DAY * world.history_days).timestamp() * 1e6)
    clock[0] = begin
    scorer = Scorer(
        models.production(),
        Ledger(url),
        key=KEY,
        lateness="3d",
        history=lambda: history,
        clock=lambda: clock[0],
    )
    scorer.start()
    try:
        queue = deque[tuple[int, str, bool, str]]()
        for number, part in enumerate(_stretches(live, world)):
            await _decide(arm, scorer, part, clock, queue)
            if arm.name != "no retraining" and number < _count(world) - 1:
                clock[0] = begin + (number + 1) * world.every_days * DAY_US
                await _say(scorer, queue, clock)
                _learn(arm, world, models, url, history, clock[0])
                await scorer.adopt(*models.in_production())
    finally:
        scorer.close()


def _count(world: World) -> int:
    return -(-30 * world.months // world.every_days)


def _stretches(live: pl.DataFrame, world: World) -> Iterator[pl.DataFrame]:
    begin = START + _DAY * world.history_days
    for number in range(_count(world)):
        since = begin + _DAY * world.every_days * number
        until = since + _DAY * world.every_days
        yield live.filter(pl.col("created_at").is_between(since, until, closed="left"))


async def _decide(
    arm: Arm,
    scorer: Scorer,
    part: pl.DataFrame,
    clock: list[int],
    queue: deque[tuple[int, str, bool, str]],
) -> None:
    """Decide payments in their order, a few at a time, and let labels come in between."""
    truth = part.select("transaction_id", "is_fraud", pl.col("labelled_at").dt.epoch("us")).rows()
    bodies = _bodies(part)
    times = part["created_at"].dt.epoch("us").to_list()
    for at in range(0, len(bodies), _TOGETHER):
        end = min(at + _TOGETHER, len(bodies))
        clock[0] = max(clock[0], times[end - 1])
        await _say(scorer, queue, clock)
        answers = await asyncio.gather(*(scorer.decide(body) for body in bodies[at:end]))
        for (name, fraud, charged), answer, moment in zip(
            truth[at:end], answers, times[at:end], strict=True
        ):
            action = json.loads(answer)["action"]
            arm.actions[name] = action
            if action == "review":
                queue.append((moment + DAY_US, name, fraud, "analyst"))
            elif action == "approve" and fraud:
                queue.append((charged, name, True, "chargeback"))


async def _say(scorer: Scorer, queue: deque[tuple[int, str, bool, str]], clock: list[int]) -> None:
    """Send the labels that are due."""
    due = sorted(one for one in queue if one[0] <= clock[0])
    if due:
        later = [one for one in queue if one[0] > clock[0]]
        queue.clear()
        queue.extend(later)
        await asyncio.gather(
            *(scorer.learn("label", name, fraud, source=who) for _, name, fraud, who in due)
        )


def _bodies(part: pl.DataFrame) -> list[bytes]:
    schema = project.plan.schema
    sent = part.drop("is_fraud", "labelled_at", "fraud_pattern").with_columns(
        pl.col(schema.time).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    )
    return [
        json.dumps({name: one for name, one in row.items() if one is not None}).encode()
        for row in sent.iter_rows(named=True)
    ]


def _learn(
    arm: Arm, world: World, models: Models, url: str, history: pl.DataFrame, now: int
) -> None:
    entries = list(Ledger(url).entries())
    arm.trainings += 1
    path = Path(__file__).with_name("loop_project.py")
    terms = RetrainingTerms(
        delay_days=world.delay_days,
        test_days=world.test_days,
        train_days=world.train_days,
        feedback=("analyst",),
        accept=_ACCEPTED,
    )
    if arm.name == "ours":
        log = Location.of(str(arm.home.parent / "history.parquet"))
        order = Order(
            project=with_lane,
            path=path,
            terms=terms,
            now=now,
            missing=lambda bundle: (),
            history=(log, history),
            to="production",
            budget=Budget(p99_ms=10_000.0),
        )
        done = retrain(order, entries, models, Runs(arm.home / "runs"))
        for one in done.gates[3:]:
            print(f"  {one.gate}: {one.sentence}")
        if done.run.bundle is None:
            print(f"  {done.refusal}")
        elif done.stage != "production":
            models.publish(done.run.bundle["folder"])
        return
    data = ledger_dataset(project, entries, mature=now, history=history)
    begin = datetime.fromtimestamp(now / 1e6, UTC) - _DAY * (world.train_days + world.test_days)
    split = f"time:{max(begin, START):%Y-%m-%d}/{world.train_days}/0/{world.test_days}"
    made = train_models(project, data.frame, features=data.features, split=split)
    folder = arm.home / f"bundle{arm.trainings}"
    models.publish(package(project, made, folder, accept=_ACCEPTED).folder)


def _months(arm: Arm, world: World, log: pl.DataFrame) -> list[dict[str, object]]:
    """What an arm came to, by month, against the truth."""
    rows = list[dict[str, object]]()
    begin = START + _DAY * world.history_days
    told = pl.DataFrame({"transaction_id": list(arm.actions), "action": list(arm.actions.values())})
    decided = log.join(told, on="transaction_id", maintain_order="left")
    for month in range(world.months):
        since = begin + _DAY * 30 * month
        part = decided.filter(
            pl.col("created_at").is_between(since, since + _DAY * 30, closed="left")
        )
        fraud, amount = part["is_fraud"].to_numpy(), part["amount"].to_numpy()
        action = part["action"].to_numpy()
        new = (part["fraud_pattern"] == NEW_PATTERN).fill_null(value=False).to_numpy()
        seen = action != "approve"
        rows.append(
            {
                "arm": arm.name,
                "month": month + 1,
                "payments": len(part),
                "frauds": int(fraud.sum()),
                "recall": _share(amount, fraud, seen),
                "recall_new": _share(amount, fraud & new, seen),
                "wrongly_declined": int(((action == "decline") & ~fraud).sum()),
                "reviewed": int((action == "review").sum()),
                "money": total_cost(fraud, action.astype(object), amount, project.policy.cost),
            }
        )
    return rows


def _share(amount: Floats, among: Bools, seen: Bools) -> float | None:
    whole = float(amount[among].sum())
    return float(amount[among & seen].sum()) / whole if whole else None


def table_of(rows: pl.DataFrame) -> str:
    """The table for the docs, in Markdown."""
    names = rows["arm"].unique(maintain_order=True).to_list()
    shown = [
        "| month | frauds | "
        + " | ".join(f"{one}: recall, new pattern, money" for one in names)
        + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for month, part in rows.group_by("month", maintain_order=True):
        cells = [
            f"{_percent(one['recall'])}, {_percent(one['recall_new'])}, {one['money']:,.0f}"
            for one in part.iter_rows(named=True)
        ]
        shown.append(f"| {month[0]} | {part['frauds'][0]} | {' | '.join(cells)} |")
    sums = rows.group_by("arm", maintain_order=True).agg(pl.col("money").sum())["money"]
    shown.append("| all | | " + " | ".join(f"{one:,.0f}" for one in sums) + " |")
    return "\n".join(shown)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def page_of(rows: pl.DataFrame) -> str:
    """Recall and money by month as one HTML page."""
    months, most = int(rows["month"].max()), float(rows["money"].max())  # type: ignore[arg-type]  # numbers
    recall, money = dict[str, list[tuple[float, float]]](), dict[str, list[tuple[float, float]]]()
    for row in rows.iter_rows(named=True):
        x = row["month"] / months
        recall.setdefault(row["arm"], []).append((x, row["recall"] or 0.0))
        money.setdefault(row["arm"], []).append((x, row["money"] / most))
    x = f"month / {months}"
    charts = (
        lines("Recall by amount", recall, x=x, y="recall", dots=True),
        lines("What decisions cost", money, x=x, y=f"money / {most:,.0f}", dots=True),
    )
    return str(document("Learning again", tag("section", join(charts))))


if __name__ == "__main__":
    main()
