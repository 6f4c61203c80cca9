"""`shroff retrain`, `shroff guard`: learn again from the ledger, take back what misbehaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import (
    TABLE_FORMS,
    BudgetMs,
    CardColumn,
    DataLabels,
    MaxBad,
    ProjectPath,
    label_delay_of,
    require_payments,
    table,
    whole_days,
)
from shroff.cli.models import print_gates, published
from shroff.cli.runs import recorded
from shroff.cli.terminal import AsJson, err, operator, out, show, steps, typed_moment
from shroff.cli.tracking import mirrored_models
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from shroff.ledger import Records
    from shroff.project import Project
    from shroff.retrain import Guarded, Order, Retrained

Every = Annotated[
    str | None,
    typer.Option(
        help="Do it again after so long, such as 1d, 1h or 30s, until it is stopped.",
        metavar="DURATION",
        show_default=False,
    ),
]
Before = Annotated[
    Location | None,
    table("--data", f"The log from before the ledger, as for --warm: {TABLE_FORMS}."),
]


def retrain(
    project: ProjectPath,
    data: Before = None,
    labels: DataLabels = None,
    test_days: Annotated[
        int, typer.Option(help="Latest days of mature labels, which judge the new model.", min=1)
    ] = 14,
    train_days: Annotated[
        int | None,
        typer.Option(help="Days to learn from; default: all.", min=1, show_default=False),
    ] = None,
    label_delay: Annotated[
        int | None, label_delay_of("the model in production", whole_days)
    ] = None,
    feedback: Annotated[
        list[str] | None,
        typer.Option(
            help="A source of labels that is an investigator; repeatable; default: analyst.",
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    feedback_weight: Annotated[
        int, typer.Option(help="How often a payment that they labelled is learned from.", min=1)
    ] = 1,
    promote_if_better: Annotated[
        bool,
        typer.Option(
            "--promote-if-better", help="Put it into production if every gate lets it pass."
        ),
    ] = False,
    budget_ms: BudgetMs = 10.0,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Package despite what this check of the doctor found; repeatable."),
    ] = None,
    card: CardColumn = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Learn from what was known at this time: a day (UTC), or ISO 8601 with a zone; "
            "default: now.",
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    max_bad: MaxBad = 0.01,
    every: Every = None,
    as_json: AsJson = False,
) -> None:
    """Learn again from the ledger, compare with the model in production, and register what came of
    it as the candidate; exit code 1 if the doctor or a gate refuses it.

    The same records and definitions make one model: asked again, it says that there is nothing new.
    """
    from shroff.clock import system_time
    from shroff.package.trained import usual_delay
    from shroff.project import load_project
    from shroff.promotion import Budget, card_gaps
    from shroff.retrain import Order, RetrainingTerms

    settings, models = Settings.read(), published()
    require_payments(data, labels)

    def order() -> Order:
        loaded = load_project(project)
        delay = usual_delay(models.production()) if label_delay is None else label_delay
        return Order(
            project=loaded,
            path=project,
            terms=RetrainingTerms(
                delay_days=delay,
                test_days=test_days,
                train_days=train_days,
                feedback=tuple(feedback or ("analyst",)),
                repeats=feedback_weight,
                accept=tuple(sorted(accept or ())),
            ),
            now=system_time() if as_of is None else typed_moment(as_of, "--as-of"),
            missing=lambda bundle: card_gaps(models, recorded(), bundle.version, loaded),
            history=_history(loaded, data, labels, settings, max_bad),
            labels=labels,
            to="production" if promote_if_better else "candidate",
            by=operator(),
            budget=Budget(budget_ms),
            card=card,
        )

    _repeated(every, lambda: _retrain(order(), settings, as_json=as_json))


def _retrain(order: Order, settings: Settings, *, as_json: bool) -> int:
    from shroff.retrain import retrain as learn

    with steps(quiet=as_json) as step, mirrored_models():
        step("read the ledger")
        done = learn(order, _entries(settings)(None), published(), recorded(), progress=step)
    document = _document(done)
    if as_json:
        show(document)
    else:
        out.print(_sentence(done), soft_wrap=True, highlight=False, markup=False)
        ledger = done.run.figures.get("ledger", {})
        if done.new and ledger:
            for sentence in _counts(ledger):
                out.print(sentence, soft_wrap=True, highlight=False, markup=False)
        print_gates(done.gates)
    return int(done.refusal is not None or not all(one.passed for one in done.gates))


def guard(
    declines: Annotated[
        float | None,
        typer.Option(help="Largest share of cards a day that it may decline.", show_default=False),
    ] = None,
    alerts: Annotated[
        float | None,
        typer.Option(
            help="Largest share of cards a day that it may not approve.", show_default=False
        ),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(
            help="Milliseconds of processor time that 99 of 100 of its newest payments may take, "
            "scored again here.",
            min=0.001,
            show_default=False,
        ),
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Its probabilities must stay as on held-out payments.")
    ] = False,
    parity: Annotated[
        bool,
        typer.Option("--parity", help="Features that it decided by must be those of batch."),
    ] = False,
    data: Before = None,
    labels: DataLabels = None,
    max_bad: MaxBad = 0.01,
    every: Every = None,
    as_json: AsJson = False,
) -> None:
    """Measure the model in production against guardrails since it came there, and roll it back if
    it breaches one; exit code 1 on a breach.

    The history of models has what was measured. A model that a rollback brought back stays.
    """
    from shroff.clock import system_time
    from shroff.retrain import Guardrails
    from shroff.retrain import guard as measure
    from shroff.scoring.history import history_of

    settings = Settings.read()
    require_payments(data, labels)
    limits = Guardrails(
        declines=declines, alerts=alerts, p99_ms=latency, drift=drift, parity=parity
    )

    def once() -> int:
        with mirrored_models():
            found = measure(
                published(),
                _entries(settings),
                limits,
                now=system_time(),
                by=operator(),
                history=lambda bundle: (
                    None
                    if data is None
                    else history_of(bundle, data, settings.hmac_key(), max_bad, labels=labels)
                ),
            )
        _print_guarded(found, as_json=as_json)
        return int(bool(found.breached))

    _repeated(every, once)


def _print_guarded(found: Guarded, *, as_json: bool) -> None:
    from msgspec.structs import asdict

    if as_json:
        show(
            {
                "version": found.version,
                "holds": not found.breached,
                "guardrails": [asdict(one) for one in found.found],
                "rolled_back_to": found.back,
            }
        )
        return
    print_gates(found.found)
    if found.back is not None:
        said = f"Version {found.version} was taken back; {found.back} is in production again."
    elif found.breached:
        said = (
            f"Version {found.version} stays: there is no earlier model, or a rollback brought it "
            "back. Decide with `shroff rollback` or `shroff publish`."
        )
    else:
        said = f"Version {found.version} keeps to its guardrails."
    out.print(said, soft_wrap=True, highlight=False, markup=False)


def _sentence(done: Retrained) -> str:
    if done.refusal is not None:
        return done.refusal
    if not done.new:
        return (
            f"Nothing new: these records and definitions made version {done.version}, which is "
            f"{done.stage}."
        )
    return f"Version {done.version}, of run {done.run.run}, is in the stage {done.stage}."


def _counts(ledger: dict[str, object]) -> list[str]:
    left = ledger.get("left_out")
    sentences = [
        f"Learned from and judged by {ledger['payments']:,} payments: "
        f"{ledger['labelled_by_investigators']:,} labelled by investigators, "
        f"{ledger['of_the_control_lane']:,} of the control lane, which stand for others."
    ]
    if isinstance(left, dict):
        sentences += [f"Left out: {many:,} {why}." for why, many in left.items()]
    return sentences


def _document(done: Retrained) -> dict[str, object]:
    from msgspec.structs import asdict

    return {
        "run": done.run.run,
        "version": done.version,
        "new": done.new,
        "stage": done.stage,
        "refusal": done.refusal,
        "gates": [asdict(one) for one in done.gates],
        "split": done.run.figures.get("split"),
        "ledger": done.run.figures.get("ledger"),
    }


def _entries(settings: Settings) -> Callable[[int | None], Records]:
    from shroff.control import reading_keyring
    from shroff.ledger import Ledger

    ledger = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
    return lambda since: ledger.records(since=since)


def _history(
    project: Project,
    data: Location | None,
    labels: Location | None,
    settings: Settings,
    max_bad: float,
) -> tuple[Location, pl.DataFrame] | None:
    from shroff.pipeline import collect_table

    if data is None:
        return None
    cleaned = collect_table(project, data, key=settings.hmac_key(), labels=labels, max_bad=max_bad)
    return data, cleaned.frame


def _repeated(every: str | None, once: Callable[[], int]) -> None:
    """Do it once, or again and again: then an error is said and does not end it."""
    from shroff.errors import ShroffError
    from shroff.features.window import micros

    if every is None:
        raise typer.Exit(once())
    pause = micros(every) / 1e6
    while True:
        try:
            once()
        except ShroffError as error:
            err.print(f"shroff: {error}", style="bold red", markup=False, soft_wrap=True)
        time.sleep(pause)
