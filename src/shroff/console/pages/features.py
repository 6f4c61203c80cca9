"""Features: what the model in production reads, as defined, as in training and as now."""

from __future__ import annotations

from typing import Any

from litestar.params import FromQuery

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.catalogue import entries_of, measure, training_columns
from shroff.console.given import GivenBackend, GivenUser
from shroff.console.problems import status_of
from shroff.console.views import job_view, lead, view
from shroff.console.web import Request, Response
from shroff.errors import NotFound, ShroffError

_JOB = "features"


@page("/features", role="modeller")
def show_features(backend: GivenBackend) -> Response:
    """Every input, those that moved most since training first once they were measured."""
    return view("features.html", _context(backend))


@action("/features", role="modeller")
def measure_features(request: Request, backend: GivenBackend, user: GivenUser) -> Response:
    """Begin to measure the inputs on the ledger."""
    try:
        bundle = backend.models.production()

        def work() -> str:
            key = backend.settings.hmac_key()
            found = measure(bundle, backend.ledger, key, backend.clock)
            backend.measured[bundle.version] = found
            return f"Measured; {found.compared:,} payments were computed again in batch."

        backend.jobs.begin(_JOB, "measure the features", user.name, work)
    except ShroffError as error:
        context = _context(backend) | {"problem": str(error)}
        return view("features.html", context, status=status_of(error))
    return lead(request, "/features")


@page("/features/job", role="modeller")
def show_measuring(backend: GivenBackend) -> Response:
    """How measuring goes on, as a part of the page."""
    return job_view(_job(backend))


@page("/features/of", role="modeller")
def show_feature(backend: GivenBackend, name: FromQuery[str] = "") -> Response:
    """One input: its definition, and its values in training and now."""
    context = _context(backend)
    for entry, column, _ in context["rows"]:
        if entry.name == name and column is not None:
            return view("feature.html", context | {"entry": entry, "column": column})
    raise NotFound("the model in production has no such input; the page Features shows those.")


def _context(backend: ConsoleBackend) -> dict[str, Any]:
    context: dict[str, Any] = {"rows": [], "bundle": None, "measured": None, "problem": ""}
    context |= _job(backend)
    bundle = backend.production()
    if bundle is None:
        return context
    measured = backend.measured.get(bundle.version)
    columns = training_columns(bundle) if measured is None else measured.columns
    different = {} if measured is None else measured.different
    rows = [(one, columns.get(one.name), different.get(one.name)) for one in entries_of(bundle)]
    rows.sort(key=lambda row: -((row[1].stability_index or 0.0) if row[1] else 0.0))
    return context | {"rows": rows, "bundle": bundle, "measured": measured}


def _job(backend: ConsoleBackend) -> dict[str, Any]:
    """What `_job_part.html` shows."""
    job, meanwhile = backend.jobs.find(_JOB), "the ledger is read"
    return {"job": job, "address": "/features/job", "meanwhile": meanwhile}


ROUTES = (show_features, measure_features, show_measuring, show_feature)
