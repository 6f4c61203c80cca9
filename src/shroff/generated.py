"""Functions whose source is generated: people can read them where they read any other function.

`dataclasses` makes an `__init__` in the same way. Generated source holds names that we chose and
literals, never code that a user wrote.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import sha256
from types import CodeType
from typing import Any, Final

_INDENT: Final = re.compile("^ +", re.MULTILINE)
_MAX_FILES: Final = 1_000
_files: dict[str, None] = {}


def function(header: str, body: Iterable[str]) -> str:
    """The source of a function: its `header`, such as `f(x)`, and a body whose lines are indented
    by one blank a level.

    >>> print(function("sign(x)", ["if x < 0:", " return -1", "return 1"]))
    def sign(x):
        if x < 0:
            return -1
        return 1
    <BLANKLINE>
    """
    lines = "\n".join([f"def {header}:", *(f" {line}" for line in body)])
    return _INDENT.sub(lambda blanks: blanks.group() * 4, lines) + "\n"


def define(source: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """The function that `source` defines, which reads its globals from `namespace`.

    It is compiled under a file name of its own and registered with `linecache`, so that tracebacks,
    debuggers, profilers and `inspect.getsource` show its lines. Equal source has an equal file
    name. Policies change for as long as a service runs, so only the newest files are kept.

    >>> half = define(function("half(x)", ["return x / two"]), {"two": 2})
    >>> half(3), half.__code__.co_filename
    (1.5, '<shroff half 53b03e0b>')
    """
    name = source[len("def ") : source.index("(")]
    file = f"<shroff {name} {sha256(source.encode()).hexdigest()[:8]}>"
    # without a time of change, `linecache.checkcache` keeps the entry
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    _files[file] = None
    if len(_files) > _MAX_FILES:
        oldest = next(iter(_files))
        del _files[oldest]
        linecache.cache.pop(oldest, None)
    exec(_compiled(source, file), namespace)
    defined: Callable[..., Any] = namespace[name]
    return defined


@lru_cache(maxsize=128)
def _compiled(source: str, file: str) -> CodeType:
    """Two engines of one plan share the code."""
    return compile(source, file, "exec")
