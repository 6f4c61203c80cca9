"""Waiting for calls that may never return, such as those of a driver to a server that hangs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def answered(
    call: Callable[[], T], alive: Callable[[], None], late: Callable[[], None], *, seconds: float
) -> T:
    """What a call gives; after each so many seconds of waiting, `alive` says whether to wait on.

    The call runs in a thread of its own. It is left behind where `alive` raises: then nothing that
    it uses may be closed before it ends, when `late` is called, once or twice.

    >>> answered(lambda: 7, lambda: None, lambda: None, seconds=1.0)
    7
    """
    answer: Future[T] = Future()
    left = Event()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001  # raised below, where the call was asked for
            answer.set_exception(error)
        if left.is_set():
            late()

    Thread(target=run, name="shroff-call", daemon=True).start()
    while True:
        try:
            return answer.result(seconds)
        except TimeoutError:
            if answer.done():
                raise
            try:
                alive()
            except Exception:
                left.set()
                if answer.done():
                    late()
                raise
