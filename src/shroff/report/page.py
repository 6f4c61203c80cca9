"""The report's page: its sections in one file, with the style, the script and their hashes."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

import msgspec

from shroff.errors import ConfigurationError
from shroff.evaluate.cuts import review_cost
from shroff.experiment import RunRecord
from shroff.markup import Html, html, join, tag
from shroff.report.sections import SECTIONS
from shroff.report.threshold import threshold_of


def render(record: RunRecord) -> str:
    """The report of a run as one HTML document.

    Raises:
        ConfigurationError: the run did not finish, so there is nothing to report.
    """
    require_finished(record)
    main = join(section(record) for section in SECTIONS)
    return document(f"Shroff report: run {record.run}", main, slider(record))


def require_finished(record: RunRecord) -> None:
    """Raise `ConfigurationError` if a run did not finish, so that there is nothing to report."""
    if record.ended is None or record.failure is not None or not record.evaluation:
        raise ConfigurationError(
            f"the run {record.run} did not finish: report another (`shroff runs list`)."
        )


def document(title: str, main: Html, data: dict[str, Any] | None = None) -> str:
    """A page that fetches nothing; with the report's script only where it has data for it."""
    style, script = _file("figures.css") + _file("page.css"), _file("page.js")
    allowed = f"script-src '{_digest(script)}'; " if data is not None else ""
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; {allowed}"
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = (
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", Html(style)),
    )
    end = () if data is None else (island(data), tag("script", Html(script)))
    return html(
        Html('<!DOCTYPE html>\n<html lang="en">\n'),
        tag("head", join(head, "\n")),
        tag("body", join((tag("main", main), *end), "\n")),
        Html("</html>\n"),
    )


def slider(record: RunRecord) -> dict[str, Any]:
    """The script's data: bins of each detector, costs, and the thresholds to begin with."""
    cost = record.parameters["policy"]["cost"]
    return {
        "cost": {**cost, "review": review_cost(cost)},
        "money": any(sum(one.bins.lost) > 0 for one in record.evaluation.values()),
        "detectors": {name: one.bins for name, one in record.evaluation.items()},
        "start": {name: threshold_of(record, name) for name in record.evaluation},
    }


def island(data: dict[str, Any]) -> Html:
    """The script's data as an element of a page."""
    text = msgspec.json.encode(data).decode().replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="data">{text}</script>')


def _file(name: str) -> str:
    return files("shroff.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
