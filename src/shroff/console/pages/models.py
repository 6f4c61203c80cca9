"""Models: which decide, how good they are, how they came there, and who moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar.params import FromPath

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.packaged import PackagedRun, report_of
from shroff.console.problems import status_of
from shroff.console.views import lead, view
from shroff.console.web import Request, Response
from shroff.control.pointers import Measured
from shroff.errors import ConfigurationError, NotFound, ShroffError

if TYPE_CHECKING:
    from shroff.promotion import Contender, Evidence, Promotion


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
        why = _why(form)
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
    return lead(request, "/models", said=said + _mirror(backend))


@page("/models/{version:str}", role="modeller")
def show_model(backend: GivenBackend, version: FromPath[str]) -> Response:
    """One model: what its run found, and its history."""
    return view("model.html", _model(backend, version))


@page("/models/{version:str}/job", role="modeller")
def show_job(backend: GivenBackend, version: FromPath[str]) -> Response:
    """How its promotion goes on, as a part of its page."""
    job = backend.jobs.find(version)
    shown = view("_model_job_part.html", {"version": version, "job": job})
    if job is None or not job.running:
        shown.headers["hx-refresh"] = "true"
    return shown


@action("/models/{version:str}/promote", role="admin")
def promote_model(
    request: Request,
    backend: GivenBackend,
    user: GivenUser,
    form: GivenForm,
    version: FromPath[str],
) -> Response:
    """Begin to measure a model by the gates; it moves if every one lets it pass."""
    to = form.text("to")
    try:
        why, delay = _why(form), _days(form.text("delay"))
        if to not in ("candidate", "production"):
            raise ConfigurationError("expected a stage of candidate or production.")
        backend.jobs.begin(
            version,
            f"promote {version} to {to}",
            user.name,
            lambda: _promote(backend, version, to, user.name, why, delay, "force" in form),
        )
    except ShroffError as error:
        typed = {"why": form.text("why"), "delay": form.text("delay"), "to": to}
        context = _model(backend, version) | {"problem": str(error), "typed": typed}
        return view("model.html", context, status=status_of(error))
    return lead(request, f"/models/{version}")


def _promote(
    backend: ConsoleBackend,
    version: str,
    to: Any,
    by: str,
    why: str,
    delay: float | None,
    force: bool,
) -> str:
    """Measure a model on the ledger's payments, as `shroff promote` does."""
    # what measures takes seconds to import
    from shroff.promotion import Budget, card_gaps, find_bundle, from_ledger, promote

    def evidence(candidate: Contender, incumbent: Contender | None) -> Evidence:
        if incumbent is None:
            raise ConfigurationError(
                "no model is in production yet whose decisions the ledger would have: measure the "
                "first one on a log, with `shroff promote … --data TABLE`."
            )
        return from_ledger(
            candidate,
            incumbent,
            backend.ledger.records(),
            now=backend.clock(),
            delay_days=delay,
        )

    run = backend.packaged.maker(version)
    source = version if version in backend.models or run is None else run.run
    done = promote(
        backend.models,
        find_bundle(backend.models, backend.packaged.runs, source),
        to,
        evidence,
        missing=lambda bundle: card_gaps(backend.models, backend.packaged.runs, bundle.version),
        by=by,
        why=why,
        budget=Budget(),
        force=force,
    )
    return _said(done) + _mirror(backend)


def _said(done: Promotion) -> str:
    refused = [one.gate for one in done.gates if not one.passed]
    stage = f"It is in the stage {done.stage}"
    if not refused:
        return f"Every gate let it pass. {stage}."
    return f"Refused by {', '.join(refused)}. {stage}{', by force' if done.forced else ''}."


def _mirror(backend: ConsoleBackend) -> str:
    """Send the stages to MLflow where that is set; the warning where it is away."""
    if not backend.settings.tracking:
        return ""
    from shroff.tracking import Mirror

    try:
        Mirror(backend.settings.tracking, backend.settings).send_models()
    except ShroffError as error:
        return f" {error} Send them later with `shroff models track`."
    return ""


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
        "job": backend.jobs.find(version),
        "problem": "",
        "typed": {"why": "", "delay": "", "to": "production"},
    }


def _report(backend: ConsoleBackend, run: PackagedRun | None) -> tuple[str, str]:
    if run is None:
        raise NotFound(
            "This installation has no run that made this model, so there is nothing to compare: "
            "train it here, or keep the folder of runs beside the models."
        )
    return report_of(backend.packaged.runs.folder, run.run)


def _why(form: Form) -> str:
    if not form.text("why"):
        raise ConfigurationError("expected the reason: the history keeps it.")
    return form.text("why")


def _days(text: str) -> float | None:
    if not text:
        return None
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < 10_000:
        raise ConfigurationError(
            "expected a number of days for the delay of labels, such as 30, or none."
        )
    return days


ROUTES = (show_models, roll_back, show_model, show_job, promote_model)
