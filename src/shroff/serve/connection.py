"""One HTTP connection: uvicorn's own, with a fast path for hot requests.

Uvicorn starts a task for every request and talks to it in dictionaries, which costs more than
deciding a payment. A plain POST to a hot operation needs neither: the operation gets the body once
it is complete, and the answer leaves in one write. All other requests take uvicorn's path, and so
does a request that comes while an answer is due or while the client does not read: that keeps
pipelined answers in order and buffers bounded.

Clients repeat the same head. The connection remembers the bytes of heads that took the fast path:
when they come again with a whole body and nothing else, nothing is parsed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shroff.serve import heads, problem
from shroff.serve.asgi import MAX_BODY_BYTES, TOO_LARGE, Refusal, authorization
from shroff.serve.closing import Cycle, UnansweredCycles, end_by_closing
from shroff.serve.exchange import Exchange, HotApp, HotRoute, RequestHead
from shroff.serve.watch import CLIENT_GONE, OTHER_ROUTE
from shroff.telemetry.tracing import CURRENT, TRACEPARENT

READ_TIMEOUT_SECONDS: Final = 20.0
"""Seconds to send a request in, from its first byte or the opening of the connection."""

_MAX_REMEMBERED_HEADS: Final = 1_024
_MAX_REMEMBERED_HEAD_BYTES: Final = 1_024
_MEAN_PIECE_BYTES: Final = 16  # the least that pieces of a body may have on average
_SPARE_BYTES: Final = 65_536  # by which the pieces of one body may fall short of that
_HEAD_END: Final = b"\r\n\r\n"
_TOO_SLOW: Final[Refusal] = (
    problem.TIMEOUT,
    f"expected the whole request within {READ_TIMEOUT_SECONDS:.0f} seconds.",
)


_NO_ROUTE: Final = HotRoute(
    OTHER_ROUTE, lambda headers: heads.MALFORMED, lambda body, on_durable: None
)
"""The route of a request that is refused for its head."""


class Connection(HttpToolsProtocol):
    """Speaks HTTP/1.1 with one client; made by uvicorn for a `HotApp`."""

    read_limit = READ_TIMEOUT_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        app = cast(HotApp, self.app)
        self._hot_routes = app.hot_routes
        self._heads = app.heads
        self._streams = app.streams
        self._telemetry = app.telemetry
        # the hot request being received, and the last one received
        self._receiving: Exchange | None = None
        self._received: Exchange | None = None
        self._size = 0
        self._unanswered = UnansweredCycles()
        # bytes since the last byte of a body or since the last request
        self._loose = 0
        self._headed = False
        self._spare = _SPARE_BYTES
        # whether uvicorn handles what is being received, and whether it is dropped
        self._cold = self._ignored = False
        # whether it has no time limit
        self._streamed = False
        self._between = True
        # when the request being received began; None: none is
        self._since: float | None = None
        # when the last answer on the fast path was sent
        self._idle: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._pause = min(self.read_limit, self.timeout_keep_alive)
        self._common: tuple[object, bytes] = None, b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's base says BaseTransport
        """A client has connected."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self._pause, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        if self._watch is not None:
            self._watch.cancel()
        if self._receiving is not None:
            self._telemetry.answered(self._receiving.route.path, CLIENT_GONE, self._receiving.trace)
            self._receiving = None
        self._unanswered.abandon()
        super().connection_lost(exc)
        if isinstance(cast(object, self.cycle), Exchange):
            # break the cycle between it and this connection, or both wait for the garbage collector
            self.cycle = cast(Any, None)
        self._received = None

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never keeps the other half open
        """The client stopped sending; returns whether an answer is still due to it."""
        if self._free() or not self._between:
            self._unanswered.abandon()
            return False
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived: mostly one whole request with a known head."""
        between = self._between
        size = data.find(_HEAD_END) + len(_HEAD_END)
        head = self._heads.get(data[:size]) if between else None
        # the rest of its headers has been judged
        if (
            head is not None
            and head.whole == len(data)
            and self._free()
            and ((deny := head.route.deny) is None or deny(head.authorization) is None)
        ):
            self._unset_keepalive_if_required()
            self._since = self._idle = None
            tracer = self._telemetry.tracer
            trace = tracer.begin("POST", head.headers) if tracer.records else None
            self.cycle = exchange = Exchange(self, head.route, trace, keep_alive=True)  # type: ignore[assignment]  # an exchange is what uvicorn asks of a cycle
            self._accept(exchange, data[size:])
            return
        received = self._parse(data)
        if between and received is not None and len(data) == size + self._size:
            self._remember(data[:size], received)

    def _parse(self, data: bytes) -> Exchange | None:
        """The last request that these bytes completed on the fast path, if any."""
        self._received = None
        self._unset_keepalive_if_required()
        self._loose += len(data)
        self._feed(data)
        if self._loose > heads.MAX_HEAD_BYTES and not self.transport.is_closing():
            self._reject(heads.TOO_LARGE)
        return self._received

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stop:
                if self.transport.is_closing():
                    return
                parser = self.parser
                head = heads.without_upgrade(
                    parser.get_method(), self.url, parser.get_http_version(), self.headers
                )
                self.parser = httptools.HttpRequestParser(self)
                data = head + data[stop.args[0] :]
            except httptools.HttpParserError:
                if not self.transport.is_closing():
                    self._reject(heads.MALFORMED)
                return

    def _reject(self, refusal: Refusal) -> None:
        """Refuse what is no request, and hang up: what follows it means nothing."""
        current, self._receiving = self._receiving, None
        self._ignored = True
        if self._cold and not self.pipeline:
            # its task gets a disconnect, as if the client had left
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            begun = self.cycle.response_started
        else:
            begun = current is None and not self._free()
        if begun:
            # the client must not take an answer to another request, or one that began, for this
            # one's
            self._unanswered.abandon()
            self.transport.close()
            return
        self.cycle = exchange = current or Exchange(self, _NO_ROUTE, None, keep_alive=False)  # type: ignore[assignment]  # as above
        exchange.keep_alive = False
        exchange.refuse(refusal)

    def _remember(self, head: bytes, exchange: Exchange) -> None:
        """Remember the head of a request that came in one piece and led to this exchange."""
        unique = any(name == TRACEPARENT for name, _ in self.headers)
        if (
            exchange.keep_alive
            and not exchange.old
            and not unique
            and len(head) <= _MAX_REMEMBERED_HEAD_BYTES
        ):
            if len(self._heads) >= _MAX_REMEMBERED_HEADS:
                self._heads.clear()
            self._heads[head] = RequestHead(
                exchange.route, self.headers, len(head) + self._size, authorization(self.headers)
            )

    # what the parser finds

    def on_message_begin(self) -> None:
        """The first byte of a request; ASGI's scope is made only if ASGI is asked."""
        self._since = self.loop.time()
        self._idle = None
        self._between = self._headed = self._cold = self._ignored = self._streamed = False
        self.expect_100_continue = False
        self._spare = _SPARE_BYTES
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are dropped, as nobody reads them."""
        if not self._headed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request is complete: choose its path."""
        self._headed = True
        refusal = heads.misfit(self.parser.get_http_version(), self.headers)
        if (
            self._loose > heads.MAX_HEAD_BYTES
            and heads.size(self.url, self.headers) > heads.MAX_HEAD_BYTES
        ):
            refusal = heads.TOO_LARGE
        if self.transport.is_closing():
            self._ignored = True
        elif self.parser.get_method() == b"CONNECT":
            self._reject(heads.MALFORMED)
        elif refusal is not None:
            self._reject(refusal)
        elif self.parser.should_upgrade():
            self._ignored = True  # `_feed` parses it again, without `Upgrade`
        else:
            self._begin()

    def _begin(self) -> None:
        """Start a request, on the fast path or on uvicorn's."""
        route = self._hot_routes.get(self.url)
        if (
            route is not None
            and self._plain()
            and self._free()
            and route.refuse(self.headers) is None
        ):
            self._size = 0
            keep_alive = self.parser.should_keep_alive()
            trace = self._telemetry.tracer.begin("POST", self.headers)
            old = self.parser.get_http_version() == "1.0"
            self._receiving = self.cycle = Exchange(
                self, route, trace, keep_alive=keep_alive, old=old
            )  # type: ignore[assignment]  # as above
            return
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()
        self._unanswered.add(self.cycle)
        if self.parser.get_http_version() == "1.0":
            end_by_closing(cast(Cycle, self.cycle))
        self._cold = True
        self._streamed = self.url.partition(b"?")[0].rstrip(b"/") in self._streams

    def on_body(self, body: bytes) -> None:
        """A piece of the body, or all of it."""
        self._loose = 0
        self._spare += len(body) - _MEAN_PIECE_BYTES
        if self._spare < 0 and not self._ignored:
            self._reject(heads.FRAGMENTED)
        exchange = self._receiving
        if exchange is None:
            if not self._ignored:
                super().on_body(body)
                if self._streamed and not self.cycle.response_complete:
                    self._since = self.loop.time()
            return
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._receiving = None
            exchange.refuse(TOO_LARGE)
        else:
            exchange.body.append(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._since = None
        self._between = True
        self._cold = False
        self._loose = 0
        exchange = self._receiving
        if exchange is None:
            if not self._ignored:
                super().on_message_complete()
            return
        self._receiving = None
        self._received = exchange
        parts = exchange.body
        self._accept(exchange, parts[0] if len(parts) == 1 else b"".join(parts))

    def _accept(self, exchange: Exchange, body: bytes) -> None:
        if exchange.trace is None:
            exchange.route.accept(body, exchange.resolve)
        else:
            # there is no task, and so no context of its own
            outside = CURRENT.set(exchange.trace)
            exchange.route.accept(body, exchange.resolve)
            CURRENT.reset(outside)

    # answers

    def respond(self, exchange: Exchange, status: int, lines: bytes, body: bytes) -> None:
        """Send an answer in one write; the connection is then free for the next request.

        Args:
            lines: the headers of this answer, each with its line end.
        """
        exchange.response_complete = True
        trace = exchange.trace
        if self.transport.is_closing():
            self._telemetry.answered(exchange.route.path, CLIENT_GONE, trace)
            return
        if trace is not None and trace.answer is not None:
            lines += b"%b: %b\r\n" % (TRACEPARENT, trace.answer)
        headers, common = self._common
        if headers is not self.server_state.default_headers:
            common = self._common_headers()
        end = b"connection: close\r\n\r\n"
        if exchange.keep_alive:
            end = b"connection: keep-alive\r\n\r\n" if exchange.old else b"\r\n"
        head = b"%b%b%bcontent-length: %d\r\n%b" % (
            STATUS_LINE[status],
            common,
            lines,
            len(body),
            end,
        )
        self.transport.write(head + body)
        self._telemetry.answered(exchange.route.path, status, trace)
        if not exchange.keep_alive:
            self.transport.close()
        if self.pipeline or not exchange.keep_alive:
            self.on_response_complete()
        else:
            # as uvicorn does, but without a timer per request
            self.server_state.total_requests += 1
            if self.flow.read_paused:
                self.flow.resume_reading()
            self._idle = self.loop.time()

    def _common_headers(self) -> bytes:
        """The headers of every answer, joined again when uvicorn replaces its list, each second."""
        headers = self.server_state.default_headers
        common = b"".join([b"%b: %b\r\n" % header for header in headers])
        self._common = headers, common
        return common

    def _plain(self) -> bool:
        parser = self.parser
        return bool(
            parser.get_method() == b"POST"
            and parser.get_http_version() in ("1.1", "1.0")
            and not self.expect_100_continue
        )

    def _free(self) -> bool:
        """Whether no other answer is due on this connection, and its client reads."""
        answered = self.cycle is None or self.cycle.response_complete
        return (
            answered
            and not self.pipeline
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    # clients that are slow

    def _look(self) -> None:
        """Close a connection whose client is slow or idle for too long; else look again later."""
        now = self.loop.time()
        left = self._pause
        if self._since is not None and not self.flow.read_paused:
            # a client whose bytes we do not read cannot be late
            left = self._since + self.read_limit - now
            if self._streamed:
                # leave the handler time to answer first that nothing comes
                left += 2 * self._pause
        elif self._streamed and not self._between:
            self._since = now
        elif self._idle is not None:
            left = self._idle + self.timeout_keep_alive - now
        if left > 0:
            self._watch = self.loop.call_later(min(left, self._pause), self._look)
        elif self._receiving is not None:
            exchange, self._receiving = self._receiving, None
            exchange.keep_alive = False
            exchange.refuse(_TOO_SLOW)
        else:
            self._unanswered.abandon()
            self.transport.close()
