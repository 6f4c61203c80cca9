"""`shroff promote`: a model on its way from research to production, through gates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shroff.cli.arguments import (
    TABLE_FORMS,
    BudgetMs,
    CardColumn,
    DataLabels,
    Join,
    LabelDelay,
    MaxBad,
    Source,
    require_payments,
    table,
)
from shroff.cli.models import AcceptSchema, OwnPolicy, print_gates, published
from shroff.cli.runs import recorded
from shroff.cli.terminal import AsJson, operator, out, show, steps
from shroff.cli.tracking import mirrored_models
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.promotion import Contender, Evidence


def promote(
    source: Source,
    to: Annotated[
        Literal["candidate", "production"], typer.Option(help="The stage.", show_default=False)
    ],
    why: Annotated[str, typer.Option(help="The reason; kept in the history.", show_default=False)],
    data: Annotated[
        Location | None,
        table(
            "--data",
            f"Labelled payments it did not learn from: {TABLE_FORMS}; default: the ledger.",
        ),
    ] = None,
    join: Join = None,
    labels: DataLabels = None,
    card: CardColumn = None,
    budget_ms: BudgetMs = 10.0,
    largest: Annotated[
        float | None,
        typer.Option(
            help="The largest difference of a card that counts as evidence; default: ten mean "
            "frauds.",
            min=0.01,
            show_default=False,
        ),
    ] = None,
    label_delay: LabelDelay = None,
    project: Annotated[
        Path | None,
        typer.Option(
            help="Take what people declare in the model card from this project, as it is now; "
            "default: as it was in training.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it although a gate refuses; recorded.")
    ] = False,
    accept_schema: AcceptSchema = False,
    own_policy: OwnPolicy = False,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Promote a model if every gate lets it pass; exit code 1 if one refuses.

    Gates: the doctor, parity of its features, a budget of latency, and for production that it saves
    money against the model there, on the same payments, and that its model card is complete. The
    history keeps what they found, refusals too.
    """
    from msgspec.structs import asdict

    from shroff.clock import system_time
    from shroff.control import reading_keyring
    from shroff.errors import ConfigurationError
    from shroff.ledger import Ledger
    from shroff.project import load_project
    from shroff.promotion import Budget, card_gaps, find_bundle, from_ledger, from_log, remedies
    from shroff.promotion import promote as through_gates
    from shroff.scoring.history import history_of

    require_payments(data, labels)
    settings, models = Settings.read(), published()

    def evidence(candidate: Contender, incumbent: Contender | None) -> Evidence:
        step("decide the same payments by both models")
        if data is not None:
            key = settings.hmac_key()
            return from_log(
                candidate,
                incumbent,
                lambda bundle: history_of(
                    bundle, data, key, max_bad, join, labels=labels, spare_labels=False
                ),
                source=str(data),
                card=card,
            )
        if incumbent is None:
            raise ConfigurationError(
                "expected payments to measure on with --data TABLE: no model is in production yet, "
                "whose decisions the ledger would have."
            )
        return from_ledger(
            candidate,
            incumbent,
            Ledger(settings.ledger, keyring=reading_keyring(settings.control)).records(),
            now=system_time(),
            card=card,
            delay_days=label_delay,
        )

    with steps(quiet=as_json) as step, mirrored_models():
        # a mistake in it is told before minutes of measuring
        loaded = None if project is None else load_project(project)
        step("read the bundle")
        done = through_gates(
            models,
            find_bundle(models, recorded(), source),
            to,
            evidence,
            missing=lambda bundle: card_gaps(models, recorded(), bundle.version, loaded),
            by=operator(),
            why=why,
            budget=Budget(budget_ms, largest),
            force=force,
            accept_schema=accept_schema,
            own_policy=own_policy,
        )
    if as_json:
        show(
            {
                "version": done.bundle.version,
                "name": done.bundle.name,
                "stage": done.stage,
                "forced": done.forced,
                "gates": [asdict(one) for one in done.gates],
            }
        )
    else:
        print_gates(done.gates)
        forced = ", although a gate refused it" if done.forced else ""
        out.print(
            f"{done.bundle.name}, version {done.bundle.version}, is in the stage "
            f"{done.stage}{forced}.",
            soft_wrap=True,
            markup=False,
        )
        if done.refused:
            for sentence in remedies(done.gates):
                out.print(sentence, soft_wrap=True, markup=False)
    raise typer.Exit(1 if done.refused else 0)
