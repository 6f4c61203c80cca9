"""Models: which decide, how good they are, how they came there, and who moves them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar.params import FromPath

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.packaged import PackagedRun, report_of
from shroff.console.problems import status_of
from shroff.console.promotions import (
    STAGES,
    TYPED,
    AskedPromotion,
    mirror,
    promote_version,
    publish_first,
    reason_of,
)
from shroff.console.views import job_view, lead, view
from shroff.console.web import Request, Response
from shroff.control.pointers import Measured
from shroff.errors import NotFound, ShroffError


@page("/models", role="modeller")
def show_models(backend: GivenBackend) -> Response:
    """Every model with its stage, and every change."""
    return view("models.html", _models(backend))


@action("/models/rollback", role="admin")
def roll_back(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Put the model before into production again, or remove the candidate."""
    try:
        why = reason_of(form)
        if form.text("what") == "candidate":
            backend.models.withdraw(by=user.name, note=why)
            said = "The candidate is withdrawn."
        else:
            # of the model that the page showed: somebody else may have been quicker
            seen = Measured((), form.text("seen") or None)
            version = backend.models.rollback(by=user.name, note=why, measured=seen)
            said = f"Version {version} is in production again."
    except ShroffError as error:
        context = _models(backend) | {"problem": str(error), "why": form.text("why")}
        return view("models.html", context, status=status_of(error))
    return lead(request, "/models", said=said + mirror(backend))


@page("/models/{version:str}", role="modeller")
def show_model(backend: GivenBackend, version: FromPath[str]) -> Response:
    """One model: what its run found, and its history."""
    return view("model.html", _model(backend, version))


@page("/models/{version:str}/job", role="modeller")
def show_job(backend: GivenBackend, version: FromPath[str]) -> Response:
    """How its promotion goes on, as a part of its page."""
    return job_view(_job(backend, version))


@action("/models/{version:str}/promote", role="admin")
def promote_model(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    version: FromPath[str],
) -> Response:
    """Begin to measure a model by the gates; it moves if every one lets it pass."""
    try:
        asked = AskedPromotion.read(form)
        if asked.own_policy:
            backend.models.require_no_consent()
        backend.jobs.begin(
            version,
            f"promote {version} to {asked.to}",
            user.name,
            lambda: promote_version(backend, version, asked, user.name),
        )
    except ShroffError as error:
        return _refused(backend, version, form, error)
    return lead(request, f"/models/{version}")


@action("/models/{version:str}/publish", role="admin")
def publish_model(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    version: FromPath[str],
) -> Response:
    """Put the first model into production: no decision of another says how good it is."""
    try:
        said = publish_first(backend, version, by=user.name, why=reason_of(form))
    except ShroffError as error:
        return _refused(backend, version, form, error)
    return lead(request, f"/models/{version}", said=said)


def _refused(backend: ConsoleBackend, version: str, form: Form, error: ShroffError) -> Response:
    """The page with the sentence, and what was typed."""
    typed = {name: form.text(name) for name in TYPED}
    context = _model(backend, version) | {"problem": str(error), "typed": typed}
    return view("model.html", context, status=status_of(error))


def _models(backend: ConsoleBackend) -> dict[str, Any]:
    pointers, versions = backend.models.pointers, backend.models.versions
    runs = {one.version: one for one in backend.packaged.all()}
    research = [(one.version, one.best, "research", one) for one in runs.values()]
    rows = [
        *(row for row in research if row[0] not in versions),
        *(
            (one, backend.model_name(one), pointers.stage(one), runs.get(one))
            for one in reversed(versions)
        ),
    ]
    return {
        "pointers": pointers,
        "rows": rows,
        "changes": list(reversed(pointers.changes)),
        "problem": "",
        "why": "",
    }


def _model(backend: ConsoleBackend, version: str) -> dict[str, Any]:
    pointers = backend.models.pointers
    run = backend.packaged.maker(version)
    published = version in backend.models
    if run is None and not published:
        raise NotFound("there is no model of this version; the page Models shows those there are.")
    report, data, lacking = "", "", ""
    try:
        report, data = _report(backend, run)
    except ShroffError as error:
        lacking = str(error)
    changes = pointers.concerning(version)
    return {
        "version": version,
        "name": backend.model_name(version) if published else run.best if run else "",
        "stage": pointers.stage(version) if published else "research",
        "run": run,
        "report": report,
        "data": data,
        "lacking": lacking,
        "changes": list(reversed(changes)),
        "gates": next((one for one in reversed(changes) if one.gates), None),
        **_job(backend, version),
        "first": pointers.production is None,
        "stages": STAGES,
        "alone": not backend.settings.needs_consent("policy"),
        "problem": "",
        "typed": dict.fromkeys(TYPED, "") | {"to": "production"},
    }


def _job(backend: ConsoleBackend, version: str) -> dict[str, Any]:
    """What `_job_part.html` shows."""
    return {
        "job": backend.jobs.find(version),
        "address": f"/models/{quote(version)}/job",
        "meanwhile": "the same payments are decided by both models",
    }


def _report(backend: ConsoleBackend, run: PackagedRun | None) -> tuple[str, str]:
    if run is None:
        raise NotFound(
            "This installation has no run that made this model, so there is nothing to compare: "
            "train it here, or keep the folder of runs beside the models."
        )
    return report_of(backend.packaged.runs.folder, run.run)


ROUTES = (show_models, roll_back, show_model, show_job, promote_model, publish_model)
