"""The model card of a run or a published model, and what it lacks."""

from __future__ import annotations

from shroff.control.models import Models
from shroff.errors import NotFound
from shroff.experiment import RunRecord, Runs
from shroff.project import Project
from shroff.report import CardRecords, ModelCard, declared_of, gaps


def card_records(models: Models, record: RunRecord, project: Project | None = None) -> CardRecords:
    """What the card of a run is written from.

    Args:
        project: takes what people declare from there, as it is now; by default as it was in
            training.
    """
    declared = declared_of(record) if project is None else project.model_card
    version = None if record.bundle is None else record.bundle["version"]
    pointers = models.pointers
    if version is None or version not in models:
        return CardRecords(run=record, declared=declared or ModelCard())
    return CardRecords(
        run=record,
        declared=declared or ModelCard(),
        stage=pointers.stage(version),
        changes=pointers.concerning(version),
        fallback=pointers.earlier[0] if pointers.earlier else None,
    )


def card_gaps(
    models: Models, runs: Runs, version: str, project: Project | None = None
) -> list[str]:
    """What the model card of a bundle lacks, a sentence each."""
    try:
        record = runs.maker(version)
    except NotFound as error:
        return [f"{error} The card is written from its record."]
    return gaps(card_records(models, record, project))
