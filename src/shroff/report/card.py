"""The model card of a run: what people declared of the model, and what the records know.

Its headings are those of the validation of models in SR 11-7 (Federal Reserve, 2011, superseded by
SR 26-2 in April 2026): conceptual soundness, outcomes analysis, ongoing monitoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from shroff.errors import ConfigurationError
from shroff.experiment import RunRecord
from shroff.report import card_chapters as chapters
from shroff.report.declared import ModelCard
from shroff.report.page import document
from shroff.report.parts import Chapter, Missing, Part, as_html, as_markdown
from shroff.report.stage_history import StageChange, history, rollback


@dataclass(frozen=True, kw_only=True)
class CardRecords:
    """What a card is made from.

    Attributes:
        run: a finished run.
        declared: what people declared; by default what the run's project did.
        stage: of its bundle: `research` until it is published.
        changes: those of the model in production and of the candidate that concern its bundle.
        fallback: the version that a rollback would put back; None if there is none.
    """

    run: RunRecord
    declared: ModelCard = field(default_factory=ModelCard)
    stage: str = "research"
    changes: Sequence[StageChange] = ()
    fallback: str | None = None


def declared_of(run: RunRecord) -> ModelCard:
    """What the project declared when a run began; nothing where it declared nothing.

    Raises:
        ConfigurationError: the record holds something else.
    """
    try:
        return msgspec.convert(run.parameters.get("model_card") or {}, ModelCard)
    except msgspec.ValidationError:
        raise ConfigurationError(
            f"the run {run.run} holds no model card as this release writes it."
        ) from None


def gaps(records: CardRecords) -> list[str]:
    """What is missing from a card, a sentence each; none if it is complete."""
    found = [
        f"`{name}` is not declared: say {wanted}, with `Project(model_card=ModelCard({name}=…))`."
        for name, wanted in records.declared.missing().items()
    ]
    if records.run.bundle is None:
        found.append(
            "The run packaged no bundle, so that nobody can say which model this is: train with "
            "`--bundle FOLDER`."
        )
    return found


def render_card(records: CardRecords, form: Literal["html", "markdown"]) -> str:
    """The card as one HTML document or as Markdown, with its gaps marked.

    Raises:
        ConfigurationError: the run did not finish.
    """
    run = records.run
    if run.ended is None or run.failure is not None or not run.evaluation:
        raise ConfigurationError(
            f"the run {run.run} did not finish: take another (`shroff runs list`)."
        )
    title = f"Model card: {run.figures['best'].replace('_', ' ')}"
    made = _chapters(records)
    return as_markdown(title, made) if form == "markdown" else document(title, as_html(title, made))


def _chapters(records: CardRecords) -> Sequence[Chapter]:
    run, declared = records.run, records.declared
    stated = _Stated(declared)
    return (
        Chapter("The model", [*chapters.identity(run, records.stage), *stated("owner", "contact")]),
        Chapter("Purpose and use", [*stated("purpose", "uses", "not_for"), *chapters.policy(run)]),
        Chapter("Conceptual soundness: data", [*stated("data"), *chapters.data(run)]),
        Chapter("Conceptual soundness: labels", [*stated("labels"), *chapters.labels(run)]),
        Chapter("Conceptual soundness: method", chapters.method(run)),
        Chapter("Outcomes analysis", chapters.outcomes(run)),
        Chapter("Limits", [*stated("limits"), *chapters.findings(run)]),
        Chapter(
            "Ongoing monitoring and rollback",
            [
                *stated("monitoring"),
                *chapters.baseline(run),
                *rollback(run, records.stage, records.fallback),
            ],
        ),
        Chapter("Approvals, gates and stages", [*stated("approvals"), *history(records.changes)]),
        Chapter("Regulation", chapters.REGULATION),
        Chapter("Lineage", chapters.lineage(run)),
    )


class _Stated:
    """Parts of what people declared, or of what they did not."""

    def __init__(self, declared: ModelCard) -> None:
        self._declared = declared

    def __call__(self, *names: str) -> list[Part]:
        missing = self._declared.missing()
        return [
            Missing(f"`{name}`: {missing[name]}.")
            if name in missing
            else chapters.stated(name, getattr(self._declared, name))
            for name in names
        ]
