"""The routes that are not hot, on Litestar: stored decisions, results, labels, what is deployed, health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from litestar import Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures.headers import MutableScopeHeaders
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.routes import HTTPRoute
from litestar.types import Message
from litestar.types import Scope as AnyScope

from shroff import __version__
from shroff.control import Gate, Scope
from shroff.errors import NotFound, PaymentConflict
from shroff.ledger.answer import encode
from shroff.ledger.labels import UNKEYED, StoredDecision
from shroff.scoring import catalogue, health
from shroff.scoring.catalogue import DeployedGroup, DeployedModel, DeployedPolicy
from shroff.scoring.feedback import Label, Result, moment
from shroff.scoring.health import Health
from shroff.scoring.scorer import Scorer
from shroff.scoring.shadow import Comparison
from shroff.serve import problem
from shroff.serve.asgi import LIMIT, NOT_JSON, TOO_LARGE, Refusal, decode, explain, is_json, plain
from shroff.serve.help import Page, help_routes
from shroff.serve.list_routes import list_routes
from shroff.serve.problem import MEDIA_TYPE, Refused
from shroff.serve.rate_routes import rate_routes
from shroff.serve.routing import OPEN, needs, problems
from shroff.serve.turns import apart

_FIRST: Final = "The same again is ignored, another one refused: the first counts."
_HISTORY: Final = (
    "The source of the key says so. What it says again is ignored; where it changes its mind, that is one more label "
    "in the history of the payment, which `GET /v1/decisions/{payment_id}` shows with the one that stands."
)

AnyRequest = Request[Any, Any, Any]
Json = dict[str, Any]


class StrictRequest(AnyRequest):
    """A request whose body is read as what its route takes.

    Litestar itself would take 0 and "0" for false where the description says that only a boolean is.
    """

    async def body(self) -> bytes:
        """The body; a client that leaves before its end is no defect."""
        try:
            return await super().body()
        except InternalServerException:
            raise Refused(problem.BAD_PAYMENT, "expected a whole request, got its beginning.") from None

    async def json(self) -> Any:
        """The body, decoded and checked."""
        taken = self.route_handler.parsed_data_field
        if taken is None:
            return await super().json()
        body = await apart(plain, await self.body(), self.scope["headers"])
        return await apart(decode, body, taken.annotation)


def routes(
    scorer: Scorer, complete: Callable[[Json, Mapping[str, Scope]], Callable[[], Json]], gate: Gate | None
) -> Litestar:
    """The application of all these routes.

    Args:
        complete: from the OpenAPI document of these routes, and the scope of a key that each operation asks for,
            what gives the document of the whole service.
        gate: who may ask; None lets everybody.
    """
    handlers = [*_payments(scorer), *_deployed(scorer), *_health(scorer)]
    if scorer.lists is not None:
        handlers += list_routes(scorer, scorer.lists)
    if scorer.rates is not None:
        handlers += rate_routes(scorer, scorer.rates)
    about = OpenAPIConfig(
        title="Shroff",
        version=__version__,
        description="Payment-fraud detection: every payment decided, durably and with reasons.",
    )
    # Litestar's own schema routes are an HTML site: only its description is wanted
    document = Litestar(handlers, openapi_config=about, logging_config=None).openapi_schema.to_schema()
    scopes = {str(handler.operation_id): handler.opt["scope"] for handler in handlers if "scope" in handler.opt}
    described = complete(document, scopes)

    @get("/openapi.json", opt=OPEN, sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(encode(described()), media_type="application/json")

    return Litestar(
        [*handlers, openapi, *help_routes(Page(described))],
        request_class=StrictRequest,
        guards=[] if gate is None else [partial(_admit, gate)],
        exception_handlers={Exception: _refuse},
        before_send=[_allow],
        openapi_config=None,
        request_max_body_size=LIMIT,
        logging_config=None,
    )


def _event(path: str, summary: str, description: str) -> post:
    return post(
        path,
        opt=needs("label"),
        operation_id=path.rpartition("/")[2],
        summary=summary,
        description=description,
        status_code=204,
        guards=[_json_only],
        exception_handlers={PaymentConflict: _conflict},
        responses=problems(
            problem.BAD_PAYMENT,
            problem.NOT_FOUND,
            problem.EVENT_CONFLICT,
            problem.TOO_LARGE,
            problem.UNSUPPORTED_MEDIA_TYPE,
            problem.UNAVAILABLE,
        ),
    )


def _payments(scorer: Scorer) -> list[HTTPRouteHandler]:
    """Stored decisions, results and labels."""
    about = "The stored decision, and what was said of the payment since."
    stored = {200: ResponseSpec(StoredDecision, description=about, generate_examples=False)}
    zone = ZoneInfo(scorer.bundle.schema.timezone) if scorer.bundle.schema.timezone else None

    @get(
        "/v1/decisions/{payment_id:str}",
        opt=needs("read"),
        operation_id="decision",
        summary="The stored decision on a payment",
        responses=stored | problems(problem.BAD_PAYMENT, problem.NOT_FOUND, problem.UNAVAILABLE),
    )
    async def decision(payment_id: FromPath[str]) -> Response[bytes]:
        return Response(await scorer.decision(unquote(payment_id)), media_type="application/json")

    @_event("/v1/payments/{payment_id:str}/result", "Say what became of a payment", _FIRST)
    async def result(payment_id: FromPath[str], data: JSONBody[Result]) -> None:
        await scorer.learn(
            "result", unquote(payment_id), data.result, at=moment(data.at, zone, twice=scorer.reader.count_twice)
        )

    @_event("/v1/payments/{payment_id:str}/label", "Say whether a payment was fraud", _HISTORY)
    async def label(payment_id: FromPath[str], data: JSONBody[Label], request: AnyRequest) -> None:
        source = str(getattr(request.state, "source", None) or UNKEYED)
        at = moment(data.at, zone, twice=scorer.reader.count_twice)
        await scorer.learn(
            "label", unquote(payment_id), data.fraud, at=at, source=source, note=data.source, event=data.event_id
        )

    return [decision, result, label]


def _deployed(scorer: Scorer) -> list[HTTPRouteHandler]:
    """What is deployed."""

    @get("/v1/models", opt=needs("read"), operation_id="models", summary="The models that decide", sync_to_thread=False)
    def models() -> list[DeployedModel]:
        return catalogue.models(scorer)

    @get(
        "/v1/policy", opt=needs("read"), operation_id="policy", summary="The policy that decides", sync_to_thread=False
    )
    def policy() -> DeployedPolicy:
        return catalogue.policy(scorer)

    @get(
        "/v1/features",
        opt=needs("read"),
        operation_id="features",
        summary="The features computed for every payment",
        sync_to_thread=False,
    )
    def features() -> list[DeployedGroup]:
        return catalogue.groups(scorer)

    @get(
        "/v1/shadow",
        opt=needs("read"),
        operation_id="shadow",
        summary="The candidate beside the model that decides",
        responses=problems(problem.NOT_FOUND),
        sync_to_thread=False,
    )
    def shadow() -> Comparison:
        if scorer.shadow is None:
            raise NotFound("no model is in the shadow; `shroff publish BUNDLE --shadow` puts one there.")
        return scorer.shadow.comparison

    return [models, policy, features, shadow]


def _health(scorer: Scorer) -> list[HTTPRouteHandler]:
    """For whoever starts and watches the service."""

    @get("/health/live", opt=OPEN, operation_id="live", summary="Whether the process runs", sync_to_thread=False)
    def live() -> Health:
        return Health("live")

    @get(
        "/health/ready",
        opt=OPEN,
        operation_id="ready",
        summary="Whether all is well",
        responses=problems(problem.UNAVAILABLE),
        sync_to_thread=False,
    )
    def ready() -> Health:
        return health.ready(scorer)

    return [live, ready]


def _admit(gate: Gate, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass whose key may use this route; a route that says nothing of it is for admins."""
    if not handler.opt.get("open") and connection.scope.get("method") != "OPTIONS":
        given = connection.headers.get("authorization")
        scope: Scope = handler.opt.get("scope", "admin")
        key = gate.key_of(None if given is None else given.encode("latin-1"), scope)
        connection.state.key, connection.state.source = key.name, key.label_source


async def _allow(message: Message, scope: AnyScope) -> None:
    """Name every method in `Allow`: Litestar leaves out HEAD, and for OPTIONS those of another handler."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders(message)
    if "allow" in headers:
        path = scope.get("path_template", "")
        own = (
            route.methods
            for route in scope["litestar_app"].routes
            if isinstance(route, HTTPRoute) and route.path == path
        )
        named = set(headers["allow"].split(", ")).union(*own)
        headers["allow"] = ", ".join(sorted(named | ({"HEAD"} if "GET" in named else set())))


def _json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if not is_json(connection.headers.get("content-type", "application/json").encode("latin-1")):
        raise HTTPException(status_code=problem.UNSUPPORTED_MEDIA_TYPE.status)


def _conflict(_: AnyRequest, error: PaymentConflict) -> Response[bytes]:
    return _response((problem.EVENT_CONFLICT, str(error)))


def _refuse(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Problem details for whatever was raised: by the domain, by Litestar, or by a defect."""
    if isinstance(error, HTTPException):
        return _response(_refusal(request, error), error.headers)
    return _response(explain(error))


def _refusal(request: AnyRequest, error: HTTPException) -> Refusal:
    if isinstance(error, ValidationException):
        return problem.BAD_PAYMENT, _sentence(error)
    refusals: tuple[Refusal, ...] = (
        (problem.METHOD_NOT_ALLOWED, f"{request.method} is not allowed here; the header `Allow` names what is."),
        (problem.NOT_FOUND, "there is no such address; /openapi.json describes those there are."),
        (problem.BAD_PAYMENT, "expected one JSON object, got something else."),
        TOO_LARGE,
        NOT_JSON,
    )
    for refusal in refusals:
        if refusal[0].status == error.status_code:
            return refusal
    return explain(error)


def _sentence(error: ValidationException) -> str:
    """What is wrong with a body, in msgspec's words."""
    found = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    message, key = str(found.get("message", "")), found.get("key", "data")
    if message.startswith("'"):
        return "expected one JSON object, got an empty body."
    return message if key == "data" else f"{message} - at `$.{key}`"


def _response(refusal: Refusal, headers: dict[str, str] | None = None) -> Response[bytes]:
    kind, detail = refusal
    body = encode(kind.problem(detail))
    return Response(body, status_code=kind.status, media_type=MEDIA_TYPE, headers={**kind.headers, **(headers or {})})
