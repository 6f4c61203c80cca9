"""Kinds of hostile heads: request lines, targets, headers, and what a connection is used for."""

from __future__ import annotations

from typing import Final

from benchmarks.fuzz.draft import CRLF, MANY, Draft, Recipe, joined
from benchmarks.fuzz.watch import CANARY
from benchmarks.fuzz.wire import Case

_METHODS: Final = (
    b"", b"get", b"POSTT", b"P\xd6ST", b"PRI", b"TRACE", b"CONNECT", b"DELETE", b"OPTIONS",
    b"M-SEARCH", b"PO ST", b"\x00POST", b"A" * 10_000, b"POST\t", b" POST", b"PROPFIND", b"PATCH",
    b"{}", b"PURGE",
)  # fmt: skip
_VERSIONS: Final = (
    b"", b"HTTP/0.9", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/1.1.1", b"HTTP/11", b"http/1.1",
    b"HTTP/1,1", b"HTTP/9999999999.1", b"HTTP/-1.1", b"HTTPS/1.1", b"HTTP / 1.1", b"HTTP/1.1 x",
    b"\xff", b"HTTP/1.", b"RTSP/1.0",
)  # fmt: skip
_TARGETS: Final = (
    b"http://localhost/v1/decisions", b"http://elsewhere.example/v1/decisions", b"*",
    b"localhost:80", b"//", b"", b"?", b"/v1/decisions%00", b"/v1/decisions%zz",
    b"/v1/../v1/decisions", b"/%2e%2e/%2e%2e/etc/passwd", b"/v1\\decisions", b"/v1/decisions#a",
    b"/v1/payments/%ff%fe", b"/v1/payments/" + b"%41" * 5_000, b"/" * 30_000,
    b"/?" + b"a=b&" * 10_000, b"/v1/payments/\xc3\xa4", b"/v1/payments/\xff", b"/v1/payments/%",
    b"/v1/payments/%0d%0aX: y", b"gopher://x", b"/v1/models/%2f", b"/v1/payments/%E2%80%AE",
    b"/help?" + b"%" * 999, b"/execute?api-version=" + b"9" * 20_000,
    b"/v1/lists/%F0%9F%92%A9/entries",
)  # fmt: skip
_NAMES: Final = (
    b"", b" ", b"a b", b"a\tb", b"a:b", b"\xff", b"\x00", b"host ", b" host", b"content-length ",
    b"x" * 30_000, b"(x)", b"@", b"a\x7f", b"Content_Length", b"transfer-encoding\x0b",
    b"\xc2\xa0host", b"content-length\x00", b"[]", b'"x"',
)  # fmt: skip
_VALUES: Final = (
    b"", b"\x00", b"\xff\xfe", b"a\rb", b"a\nb", b"\x0b\x0c", b"\t", b" " * 5_000, b"a" * 60_000,
    b"a" * 70_000, "ä€😀".encode(), b"\x7f", b"%s%s%n", b"' OR 1=1 --", b"${jndi:ldap://x}",
    b"\x1b[2J",
)  # fmt: skip
_COMMON: Final = (
    b"x-any", b"content-type", b"accept", b"cookie", b"user-agent", b"traceparent", b"tracestate",
    b"authorization", b"content-encoding", b"accept-encoding", b"if-none-match", b"range",
    b"x-forwarded-for", b"connection", b"te", b"inference-header-content-length",
    b"idempotency-key",
)  # fmt: skip
_DOUBLES: Final = (
    (b"host: a", b"host: b"), (b"authorization: Bearer x",), (b"content-length: 0",),
    (b"content-length: 99999",), (b"content-encoding: gzip", b"content-encoding: deflate"),
    (b"content-encoding: identity", b"content-encoding: identity"),
    (b"transfer-encoding: chunked", b"transfer-encoding: chunked"), (b"content-type: text/csv",),
    (b"connection: close", b"connection: keep-alive"), (b"traceparent: x",) * 50,
    (b"accept: */*",) * 500,
)  # fmt: skip
_FOLDED: Final = (
    b"x-any",
    b"content-length",
    b"transfer-encoding",
    b"authorization",
    b"host",
    b"connection",
)
_PROTOCOLS: Final = (
    b"h2c", b"websocket", b"TLS/1.0", b"HTTP/2.0", b"foo/1, h2c", b"", b",", b"\xff",
    b"h2c" * 1_000,
)  # fmt: skip
_EXPECTATIONS: Final = (
    b"100-continue", b"100-Continue", b"100-continue, x", b"", b"200-ok", b"x" * 9_000,
    b"100-continue" * 99,
)  # fmt: skip
_OTHERS: Final = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,  # TLS 1.3 hello
    b"\x80\x2e\x01\x03\x01",  # SSL 2 hello
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) * 20,
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00\x00\x00\x17\x00\x12\x00\x00",  # Kafka
    b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",  # SOCKS
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"\x03\x00\x00\x13\x0e\xe0",  # RDP
    b"{}\n" * 100,
    b"\r\n" * 50_000,
)


def request_lines(draft: Draft) -> Case:
    """Methods and versions that there are not, lines before them, and blanks between."""
    body = draft.body()
    method, version = draft.one(b"POST", *_METHODS), draft.one(b"HTTP/1.1", *_VERSIONS)
    blank = draft.one(b" ", b" ", b"  ", b"\t", b"\x0b", b"")
    before = draft.one(b"", b"", CRLF, b"\n" * 9, b"\x00", b" ")
    first = before + blank.join([method, b"/v1/decisions", version])
    return Case(pieces=(joined(first, draft.headers(body), body),), answers=2, whole=False)


def targets(draft: Draft) -> Case:
    """Targets that are none, lead elsewhere, or have no end."""
    target = draft.one(*_TARGETS)
    if draft.random.random() < 0.3:
        target += draft.noise(200).replace(b" ", b"")
    method = draft.one(b"GET", b"POST", b"HEAD", b"OPTIONS")
    body = None if method in (b"GET", b"HEAD") else draft.body()
    sent = joined(method + b" " + target + b" HTTP/1.1", draft.headers(body), body or b"")
    return Case(pieces=(sent,), head=method == b"HEAD", whole=False)


def header_names(draft: Draft) -> Case:
    """Names of headers that are none."""
    name = draft.one(*_NAMES, draft.noise(30).replace(b":", b""))
    line = name + draft.one(b":", b": ", b" : ", b"", b":\t") + CANARY.encode()
    return Case(pieces=(draft.post(draft.body(), line),), answers=2, whole=False)


def header_values(draft: Draft) -> Case:
    """Values of headers of any bytes, many of them, long ones."""
    name = draft.one(*_COMMON)
    value = draft.one(*_VALUES, draft.noise(300), CANARY.encode())
    lines = [name + b": " + value] * draft.one(1, 1, 1, 2, 9)
    return Case(pieces=(draft.post(draft.body(), *lines),), answers=2, whole=False)


def folding(draft: Draft) -> Case:
    """Values that go on in the next line, as they did before 1999."""
    fold = draft.one(b"\r\n ", b"\r\n\t", b"\n ", b"\r\n" + b" " * 99, b"\r\n\r\n ", b"\r ")
    name = draft.one(*_FOLDED)
    value = draft.one(b"chunked", b"5", b"close", b"Bearer", b"", b"localhost")
    line = name + b":" + fold + value + draft.one(b"", fold + b"x")
    return Case(pieces=(draft.post(draft.body(), line, b"x-a: b"),), answers=2, whole=False)


def doubles(draft: Draft) -> Case:
    """Headers that come twice, of which two readers believe one each."""
    lines = list(draft.one(*_DOUBLES))
    body = draft.body()
    place = draft.one(0, 2, 4)
    good = draft.headers(body)
    sent = joined(b"POST /v1/decisions HTTP/1.1", [*good[:place], *lines, *good[place:]], body)
    return Case(pieces=(sent,), answers=2, whole=False)


def line_ends(draft: Draft) -> Case:
    """Lines that end with LF, CR, both in wrong order, or with more."""
    body = draft.body()
    end = draft.one(b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\x00", b" \r\n", b"\x85", b"\r\n\r")
    lines = draft.headers(body)
    sent = joined(b"POST /v1/decisions HTTP/1.1", lines, body, end)
    if draft.random.random() < 0.5:
        whole = joined(b"POST /v1/decisions HTTP/1.1", lines, body)
        places = [at for at in range(len(whole) - 1) if whole[at : at + 2] == CRLF]
        at = draft.random.choice(places)
        sent = whole[:at] + end + whole[at + 2 :]
    return Case(pieces=(sent,), answers=2, whole=False)


def pipelines(draft: Draft) -> Case:
    """Many requests at once, good ones and one that is not."""
    count = draft.one(2, 5, 30, 200)
    requests = [draft.post(draft.body(payment_id=f"{draft.name}-{at}")) for at in range(count)]
    spoilt = draft.one(None, None, draft.random.randrange(count))
    if spoilt is not None:
        requests[spoilt] = draft.one(
            b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
            b"\x00\r\n\r\n",
            draft.post(b"{"),
            draft.noise(99) + b"\r\n\r\n",
        )
    sent = b"".join(requests)
    at = draft.random.randrange(len(sent))
    pieces = draft.one((sent,), (sent[:at], sent[at:]))
    return Case(pieces=pieces, answers=count + 2, due=spoilt is None, whole=False)


def upgrades(draft: Draft) -> Case:
    """Clients that ask for another protocol, once or again and again, and go on in it."""
    lines = [b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + draft.one(*_PROTOCOLS)]
    lines += draft.one(
        [],
        [b"http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"],
        [b"sec-websocket-key: dGhl", b"sec-websocket-version: 13"],
    )
    lines += draft.one([], [], [b"expect: 100-continue"], [b"x-a: " + b"a" * 20_000])
    count = draft.one(1, 1, 3, 100)
    get = joined(b"GET /health/live HTTP/1.1", [*draft.headers(), *lines])
    sent = draft.one(draft.post(draft.body(), *lines), get) * count
    behind = draft.one(b"", b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", draft.noise(300))
    return Case(pieces=(sent, behind), answers=count + 2, whole=False)


def expectations(draft: Draft) -> Case:
    """`Expect`, with a body that comes, comes later, or does not come."""
    body = draft.body()
    sent = draft.post(body, b"expect: " + draft.one(*_EXPECTATIONS))
    head, whole = sent[: len(sent) - len(body)], draft.one(True, True, False)
    pieces = (head, body) if whole else (head,)
    return Case(pieces=pieces, answers=2, whole=False, pause=draft.one(0.0, 0.0, 0.05))


def halves(draft: Draft) -> Case:
    """Clients that say that they send no more: after a request, after several, in the middle of
    one.
    """
    sent = draft.good() * draft.one(1, 2, 20)
    if draft.random.random() < 0.5:
        sent = sent[: draft.random.randrange(len(sent))]
    return Case(pieces=(sent,), answers=21, whole=False, ends=True)


def cuts(draft: Draft) -> Case:
    """Requests that are cut anywhere, and clients that are gone at once."""
    sent = draft.one(
        draft.good(), draft.post(draft.body(), b"expect: 100-continue"), draft.good() * 3
    )
    at = draft.random.randrange(1, len(sent))
    return Case(pieces=(sent[:at],), answers=4, whole=False, leaves=draft.one(True, True, False))


def slow(draft: Draft) -> Case:
    """Requests that come in very small pieces."""
    sent = draft.good()
    places = sorted(draft.random.sample(range(1, len(sent)), 40))
    pieces = tuple(
        sent[start:end] for start, end in zip([0, *places], [*places, len(sent)], strict=True)
    )
    return Case(pieces=pieces, due=True, pause=draft.one(0.0, 0.001, 0.005))


def long(draft: Draft) -> Case:
    """Very much of one thing: names, values, lines, blanks, without an end."""
    count = draft.one(*MANY, 100_000)
    line = draft.one(
        b"x: " + b"a" * count,
        b"a" * count + b": x",
        b"cookie: " + b"a=b; " * count,
        b"accept: " + b"*/*;q=0.1, " * count,
        CRLF.join([b"x-%d: y" % at for at in range(count)]),
        b"authorization: Bearer " + b"a" * count,
        b"traceparent: 00-" + b"0" * count,
        b"content-type: application/json;" + b" " * count + b"x",
        b"content-type: multipart/form-data; boundary=" + b"-" * count,
        b"accept-encoding: " + b"gzip;q=1," * count,
        b"x:" + b" " * count,
    )
    endless = draft.random.random() < 0.1
    sent = draft.post(draft.body(), line)
    return Case(pieces=(sent[:-300],) if endless else (sent,), answers=2, whole=False)


def others(draft: Draft) -> Case:
    """Bytes of other protocols, and of none."""
    sent = draft.one(*_OTHERS, draft.random.randbytes(draft.random.randint(1, 3_000)))
    return Case(pieces=(sent,), answers=3, whole=False, ends=draft.one(True, False))


KINDS: Final[dict[str, Recipe]] = {
    "request line": request_lines,
    "target": targets,
    "header name": header_names,
    "header value": header_values,
    "folding": folding,
    "header twice": doubles,
    "line end": line_ends,
    "pipeline": pipelines,
    "upgrade": upgrades,
    "expect": expectations,
    "half closed": halves,
    "cut": cuts,
    "slow": slow,
    "very long": long,
    "other protocol": others,
}
