"""Promotions that a page asks for: what its form says, and the gates, as `shroff promote`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.errors import ConfigurationError, ShroffError

if TYPE_CHECKING:
    from shroff.promotion import Contender, Evidence, Promotion

STAGES: Final = ("candidate", "production")
TYPED: Final = ("to", "why", "delay", "budget", "largest")
"""The fields of the form that hold text."""
_USUAL_MS: Final = 10.0
_MOST: Final = 1e9


@dataclass(frozen=True, kw_only=True)
class AskedPromotion:
    """What a form asks for; see `promotion.promote`. Milliseconds, major units, days.

    Raises:
        ConfigurationError: by `read`, for a field that says something else.
    """

    to: Literal["candidate", "production"]
    why: str
    delay_days: float | None
    budget_ms: float
    largest: float | None
    force: bool
    accept_schema: bool
    own_policy: bool

    @classmethod
    def read(cls, form: Form) -> AskedPromotion:
        """The promotion of a form."""
        to = form.text("to")
        if to not in STAGES:
            raise ConfigurationError("expected a stage of candidate or production.")
        budget = _number(form, "budget", "milliseconds for 99 of 100 payments, such as 10")
        return cls(
            to=cast("Literal['candidate', 'production']", to),
            why=reason_of(form),
            delay_days=_number(
                form, "delay", "days for the delay of labels, such as 30", most=10_000
            ),
            budget_ms=_USUAL_MS if budget is None else budget,
            largest=_number(form, "largest", "money for the largest difference of a card"),
            force="force" in form,
            accept_schema="accept_schema" in form,
            own_policy="own_policy" in form,
        )


def reason_of(form: Form) -> str:
    """Why somebody moves a model.

    Raises:
        ConfigurationError: they do not say.
    """
    if not form.text("why"):
        raise ConfigurationError("expected the reason: the history keeps it.")
    return form.text("why")


def promote_version(backend: ConsoleBackend, version: str, asked: AskedPromotion, by: str) -> str:
    """Measure a model on the ledger's payments, and say what became of it and what to do next."""
    # what measures takes seconds to import
    from shroff.promotion import Budget, card_gaps, find_bundle, from_ledger, promote

    def evidence(candidate: Contender, incumbent: Contender | None) -> Evidence:
        if incumbent is None:
            raise ConfigurationError(
                "no model is in production yet whose decisions the ledger would have: put the "
                "first one there without gates, or measure it on a log, with `shroff promote … "
                "--data TABLE`."
            )
        return from_ledger(
            candidate,
            incumbent,
            backend.ledger.records(),
            now=backend.clock(),
            delay_days=asked.delay_days,
        )

    done = promote(
        backend.models,
        find_bundle(backend.models, backend.packaged.runs, _source(backend, version)),
        asked.to,
        evidence,
        missing=lambda bundle: card_gaps(backend.models, backend.packaged.runs, bundle.version),
        by=by,
        why=asked.why,
        budget=Budget(asked.budget_ms, asked.largest),
        force=asked.force,
        accept_schema=asked.accept_schema,
        own_policy=asked.own_policy,
    )
    return _said(done) + mirror(backend)


def publish_first(backend: ConsoleBackend, version: str, *, by: str, why: str) -> str:
    """Put the first model into production, which no decision of another speaks for or against.

    Raises:
        ConfigurationError: a model is in production, with which others are compared.
    """
    from shroff.promotion import find_bundle

    backend.models.publish(
        find_bundle(backend.models, backend.packaged.runs, _source(backend, version)),
        by=by,
        note=why,
        first=True,
    )
    return f"Version {version} is in production, the first one.{mirror(backend)}"


def mirror(backend: ConsoleBackend) -> str:
    """Send the stages to MLflow where that is set; the warning where it is away."""
    if not backend.settings.tracking:
        return ""
    from shroff.tracking import Mirror

    try:
        Mirror(backend.settings.tracking, backend.settings).send_models()
    except ShroffError as error:
        return f" {error} Send them later with `shroff models track`."
    return ""


def _source(backend: ConsoleBackend, version: str) -> str:
    run = backend.packaged.maker(version)
    return version if version in backend.models or run is None else run.run


def _said(done: Promotion) -> str:
    from shroff.promotion import remedies

    refused = [one.gate for one in done.gates if not one.passed]
    stage = f"It is in the stage {done.stage}"
    if not refused:
        return f"Every gate let it pass. {stage}."
    if done.forced:
        return f"Refused by {', '.join(refused)}. {stage}, by force."
    return " ".join([f"Refused by {', '.join(refused)}. {stage}.", *remedies(done.gates)])


def _number(form: Form, name: str, wanted: str, *, most: float = _MOST) -> float | None:
    text = form.text(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < most:
        raise ConfigurationError(f"expected a number of {wanted}, or nothing.")
    return number
