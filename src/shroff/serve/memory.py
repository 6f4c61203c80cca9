"""What a process does with its memory once its state is built, which then stays."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = 2 << 20  # of a huge page
_MIN_AREA_BYTES: Final = 8 * _PAGE_BYTES
"""Smaller areas are mostly threads' stacks, mostly empty."""
_ADVISE, _COLLAPSE = 14, 25  # MADV_HUGEPAGE and MADV_COLLAPSE, see madvise(2)
_MAPS: Final = Path("/proc/self/maps")
_ANONYMOUS_AREA: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *(?:\[heap\])?\n")


def settle() -> None:
    """Freeze what exists out of garbage collection and put it in huge pages.

    Takes seconds for gigabytes.
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        enlarge_pages()


def enlarge_pages() -> None:
    """Ask Linux to back large areas of memory with huge pages of 2 MB.

    Payments read all over the state, and 4 kB pages overflow the TLB. A kernel that is set to
    `never` in `/sys/kernel/mm/transparent_hugepage/enabled`, or has no free huge pages, leaves
    areas as they are; so the kernel's answer does not matter.
    """
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    try:
        maps = _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # a container without /proc
    for start, end in _areas(maps):
        advise(start, end - start, _ADVISE)
        advise(start, end - start, _COLLAPSE)


def _areas(maps: str) -> Iterator[tuple[int, int]]:
    """The large anonymous areas listed in a file of proc_pid_maps(5), rounded to huge pages.

    >>> small = "7f0002000000-7f0003000000 r--p 0 00:00 0 \\n"
    >>> list(_areas("7f0000000000-7f0001100000 rw-p 00000000 00:00 0 \\n" + small))
    [(139637976727552, 139637993504768)]
    """
    for found in _ANONYMOUS_AREA.finditer(maps):
        start, end = (int(address, 16) for address in found.groups())
        start, end = -(-start // _PAGE_BYTES) * _PAGE_BYTES, end // _PAGE_BYTES * _PAGE_BYTES
        if end - start >= _MIN_AREA_BYTES:
            yield start, end
