"""The help page as one HTML document: it fetches nothing and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.resources import files
from string import Template
from typing import Any, Final

from shroff.clock import Clock, system_time
from shroff.control import SCOPES, Scope
from shroff.markup import Html, html, join, prose, tag
from shroff.serve.help.reference import Reference, panel
from shroff.serve.help.samples import LANGUAGES, samples
from shroff.serve.problem import KINDS, PAYMENT_CONFLICT, Kind

Json = Mapping[str, Any]

_ORIGIN_PLACEHOLDER: Final = "http://origin.invalid"
"""Placeholder of the origin, replaced for each client."""
_HOUR_US: Final = 3_600_000_000
_SCOPES: Final[dict[Scope, str]] = {
    "decide": "send payments",
    "label": "say results and labels",
    "read": "read stored decisions, models and features",
    "review": "work on cases: payments that a person should look at",
    "forget": "forget people",
    "admin": "everything",
}


class Page:
    """The help page of a service.

    Args:
        described: gives the OpenAPI document of the service.
    """

    def __init__(self, described: Callable[[], Json], *, clock: Clock = system_time) -> None:
        self._described = described
        self._clock = clock
        self._hour = -1
        self._page = ""

    def html(self, origin: str) -> bytes:
        """The page for a client that sees the service at `origin`, a URL without a path."""
        hour = self._clock() // _HOUR_US
        if hour != self._hour:  # made on request, and again once its example payment is old
            self._hour, self._page = hour, self._render()
        return self._page.replace(_ORIGIN_PLACEHOLDER, html(origin)).encode()

    @cached_property
    def headers(self) -> dict[str, str]:
        """The page's CSP: its own script and style, and requests to its own service."""
        policy = (
            "default-src 'none'",
            f"script-src '{_digest(_file('page.js'))}'",
            f"style-src '{_digest(_file('page.css'))}'",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
        return {
            "content-security-policy": "; ".join(policy),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        }

    def _render(self) -> str:
        document = self._described()
        reference = Reference(document)
        payment = reference.component("Payment")
        example: Json = payment["examples"][0]
        roles = {
            about["x-scale"]: name
            for name, about in payment["properties"].items()
            if "x-scale" in about
        }
        steps = samples(example, id=roles["id"], time=roles["time"], origin=_ORIGIN_PLACEHOLDER)

        def step(name: str) -> Html:
            return join(
                panel(LANGUAGES[language], getattr(sample, name), language=language, name=name)
                for language, sample in steps.items()
            )

        return Template(_file("page.html")).substitute(
            style=_file("page.css"),
            script=_file("page.js"),
            version=html(str(document["info"]["version"])),
            origin=_ORIGIN_PLACEHOLDER,
            times=html(payment["properties"][roles["time"]]["x-unit"]),
            languages=_languages(),
            scopes=_scopes(),
            try_fields=_form(payment, example),
            decision=step("decision"),
            result=step("result"),
            label=step("label"),
            answer=panel("200 OK", _pretty(_answer(example, roles))),
            problem=panel("422 Unprocessable Content", _pretty(_problem())),
            payment_fields=reference.fields("Payment", examples=example),
            payment=panel("A payment", _pretty(example)),
            answer_fields=reference.fields("Answer"),
            reason_fields=reference.fields("Reason"),
            result_fields=reference.fields("Result", examples={}),
            label_fields=reference.fields("Label", examples={}),
            kinds=tag("dl", *map(_kind, KINDS), class_="fields kinds"),
            operations=reference.articles(_ORIGIN_PLACEHOLDER),
        )


def _file(name: str) -> Html:
    return Html((files(__package__) / name).read_text())


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _languages() -> Html:
    return join(
        tag(
            "label",
            tag(
                "input",
                type="radio",
                name="language",
                id=f"language-{language}",
                checked=language == "curl",
            ),
            tag("span", title),
        )
        for language, title in LANGUAGES.items()
    )


def _scopes() -> Html:
    return tag("ul", *(tag("li", tag("code", scope), f": {_SCOPES[scope]}") for scope in SCOPES))


def _form(payment: Json, example: Json) -> Html:
    """One input for each field, with the example in it."""
    needed = payment["required"]
    return join(
        _input(at, name, payment["properties"][name], value, required=name in needed)
        for at, (name, value) in enumerate(example.items())
    )


def _input(at: int, name: str, about: Json, value: object, *, required: bool) -> Html:
    number = about["x-scale"] in ("amount", "numeric")
    hint = "" if required else tag("span", "optional", class_="hint")
    return tag(
        "div",
        tag("label", tag("span", name), " ", hint, for_=f"field-{at}"),
        tag(
            "input",
            id=f"field-{at}",
            name=name,
            type="number" if number else "text",
            step="any" if number else False,
            value=str(value),
            required=required,
            autocomplete="off",
            spellcheck="false",
            data_scale=about["x-scale"],
        ),
    )


def _kind(kind: Kind) -> Html:
    status = tag("span", str(kind.status), class_=f"status s{kind.status // 100}xx")
    term = tag("dt", status, " ", tag("code", kind.slug), id=f"problem-{kind.slug}")
    return tag("div", term, tag("dd", tag("strong", kind.title, "."), " ", prose(kind.advice)))


def _answer(example: Json, roles: Mapping[str, str]) -> Json:
    amount = example[roles["amount"]]
    reason = {
        "code": "AMOUNT_HIGH",
        "feature": roles["amount"],
        "direction": "above",
        "value": amount,
        "typical": 54.2,
        "share": 0.004,
        "values": {},
        "text": f"{roles['amount']} {amount:.2f}; higher than 99.6 % of payments; usual 9.95–88.50",
    }
    return {
        "payment_id": example[roles["id"]],
        "decision_id": "018bcfe5-687b-774b-9d1c-3f0a5e2b7c41",
        "action": "review",
        "probability": 0.4127,
        "reasons": [reason],
        "rules": [],
        "model": {"name": "boosted_trees", "version": "20240504T081500Z-95ee610e"},
        "policy": "20240504T081500Z-95ee610e",
        "degraded": False,
        "decided_at": "2024-05-04T10:00:00.012345Z",
    }


def _problem() -> Json:
    problem = PAYMENT_CONFLICT.problem(
        "this payment id came before with another payload; the first one counts."
    )
    return {name: getattr(problem, name) for name in problem.__struct_fields__}
