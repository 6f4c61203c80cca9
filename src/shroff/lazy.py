"""Cheap imports: names and modules loaded on first use, many modules without garbage collection."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType


def loading(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose public names are defined in its modules.

    Args:
        package: the package's `__name__`.
        homes: the module below the package in which each name is defined.

    >>> loading("shroff", {"Cost": "evaluate.cost"})("Cost").__name__
    'Cost'
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load


@contextmanager
def without_collection(*, forever: bool = False) -> Iterator[None]:
    """Make many objects that stay without garbage collection, which would find nothing.

    Importing modules is 20 % faster, loading a state twice as fast.

    Args:
        forever: they stay until the process ends, so that later collections pass them by too.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if forever:
            gc.freeze()
        if enabled:
            gc.enable()


def deferred(name: str) -> None:
    """Let `import name` from now on load the package when one of its names is first read.

    A package that is loaded already, or not installed, stays what it is.

    >>> deferred("json")
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    # read by the import of a module within the package, which is to load the package first
    del module.__path__
    module.__class__ = _Deferred
    sys.modules[name] = module


_loading = RLock()


class _Deferred(ModuleType):
    """A package that is not loaded. `importlib.util.LazyLoader` loads it at `import` already, and
    shows other threads a half of it.
    """

    def __getattr__(self, name: str) -> object:
        with _loading:
            if type(self) is _Deferred and "__path__" not in vars(self):
                spec = self.__spec__
                if spec is None or spec.loader is None or spec.submodule_search_locations is None:
                    raise AttributeError(name)
                self.__path__ = spec.submodule_search_locations
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    del self.__path__
                    raise
                self.__class__ = ModuleType  # type: ignore[assignment]  # an ordinary module now
        return ModuleType.__getattribute__(self, name)
