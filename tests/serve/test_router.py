"""The router: which operation a path leads to, and what is answered where there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get
from litestar.params import FromPath

from shroff.serve.asgi import Message
from shroff.serve.operation import JSON, NO_CONTENT, Call, Interface, Operation, Reply, native
from shroff.serve.problem import Kind
from shroff.serve.router import Router

Json = dict[str, Any]


def operation(method: str, path: str, **options: Any) -> Operation:
    async def answer(call: Call) -> Reply:
        return Reply.json({"path": path, **call.names})

    parts: Json = {"handler": answer, "scope": None, "gives": {JSON: (dict,)}}
    return Operation(method=method, path=path, name=path, summary="", **parts | options)


async def nothing(_: Call) -> Reply:
    return NO_CONTENT


def fail(kind: Kind, detail: str) -> Json:
    return {"fault": kind.slug}


ROUTER = Router(
    [
        native(
            [
                operation("GET", "/things"),
                operation("POST", "/things", status=201),
                operation("GET", "/things/{thing}"),
                operation("DELETE", "/things/{thing}", handler=nothing, status=204),
            ]
        ),
        Interface(
            "Other",
            (operation("POST", "/models/{name}:run"), operation("GET", "/models/{name}")),
            fail,
            dict,
            prefix="/models/",
            names="[^:]+",
        ),
    ]
)


def ask(method: str, path: str, router: Router = ROUTER) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer to a request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "root_path": "",
    }
    asyncio.run(router(scope, receive, send))
    return (
        sent[0]["status"],
        dict(sent[0]["headers"]),
        b"".join(one.get("body", b"") for one in sent),
    )


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/things", {"path": "/things"}),
        ("GET", "//things/", {"path": "/things"}),
        ("GET", "/%74hings", {"path": "/things"}),
        ("GET", "/things/a%2Fb:c", {"path": "/things/{thing}", "thing": "a/b:c"}),
        ("GET", "/things/a%0Ab", {"path": "/things/{thing}", "thing": "a\nb"}),
        ("POST", "/models/one:run", {"path": "/models/{name}:run", "name": "one"}),
        ("POST", "/models/one%3Arun", {"path": "/models/{name}:run", "name": "one"}),
        ("GET", "/models/one", {"path": "/models/{name}", "name": "one"}),
    ],
)
def test_a_path_leads_to_its_operation(method: str, path: str, answer: Json) -> None:
    status, headers, body = ask(method, path)
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert msgspec.json.decode(body) == answer


def test_an_operation_says_the_status_of_its_success() -> None:
    assert ask("POST", "/things")[0] == 201
    assert ask("DELETE", "/things/one") == (204, {}, b"")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/things", b"GET, HEAD, OPTIONS, POST"),
        ("/things/one", b"DELETE, GET, HEAD, OPTIONS"),
        ("/models/one:run", b"OPTIONS, POST"),
    ],
)
def test_a_method_is_offered_only_where_it_is_answered(path: str, allow: bytes) -> None:
    status, headers, body = ask("PATCH", path)
    assert (status, headers[b"allow"]) == (405, allow)
    assert (b"fault" in body) == path.startswith("/models/"), (
        "each interface has errors of its own shape"
    )
    assert ask("OPTIONS", path) == (204, {b"allow": allow}, b"")


@pytest.mark.parametrize(
    ("path", "shape"),
    [("/nowhere", b"/problems/"), ("/things/a/b", b"/problems/"), ("/models/one:other", b"fault")],
)
def test_an_unknown_address_is_refused_by_the_interface_that_owns_it(
    path: str, shape: bytes
) -> None:
    status, _, body = ask("GET", path)
    assert status == 404
    assert shape in body


def test_an_application_is_mounted_beneath_a_path() -> None:
    @get("/pages/{name:str}", media_type="text/html", sync_to_thread=False)
    def page(name: FromPath[str]) -> str:
        return f"<p>{name}</p>"

    pages: Any = Litestar([page], openapi_config=None)
    router = Router(ROUTER.interfaces, mounts={"pages": pages})
    status, headers, body = ask("GET", "/pages/cases", router)
    assert (status, body) == (200, b"<p>cases</p>")
    assert headers[b"content-type"].startswith(b"text/html")
    assert ask("GET", "/things", router)[0] == 200
