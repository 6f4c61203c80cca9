"""Threads in which pages wait for databases: of their own, as the service beside which a console
runs has its lists, keys and large bodies read in those of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")

PAGE_THREADS: Final = ThreadPoolExecutor(8, thread_name_prefix="pages")
PASSWORDS: Final = ThreadPoolExecutor(2, thread_name_prefix="passwords")
"""Of what looks at a password: many attempts wait for each other, and no page for them."""
PROVIDER: Final = ThreadPoolExecutor(2, thread_name_prefix="provider")
"""Of what asks the provider of OpenID Connect, which may be slow."""


async def in_thread(
    threads: ThreadPoolExecutor, work: Callable[..., T], *given: Any, **named: Any
) -> T:
    """What a function returns, which runs in one of some threads."""
    run = partial(copy_context().run, work, *given, **named)
    return await asyncio.get_running_loop().run_in_executor(threads, run)
