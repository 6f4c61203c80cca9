"""What a process does with its memory once its state is there, which then lives as long as the
process.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = 2 << 20  # bytes of a large page
_MIN_AREA_BYTES: Final = 8 * _PAGE_BYTES
"""Smaller areas are mostly stacks of threads, which are mostly empty."""
_ADVISE, _COLLAPSE = 14, 25  # MADV_HUGEPAGE and MADV_COLLAPSE, see madvise(2)
_MAPS: Final = Path("/proc/self/maps")
_ANONYMOUS: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *(?:\[heap\])?\n")


def settle() -> None:
    """Let later collections pass by what there is now, and look it up in large pages; takes seconds
    for gigabytes.
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        enlarge_pages()


def enlarge_pages() -> None:
    """Let Linux keep large areas of memory in pages of 2 MB, where it allows that.

    A state is read all over, and of pages of 4 kB the processor cannot remember where so many are.
    A kernel that is set to `never` in `/sys/kernel/mm/transparent_hugepage/enabled`, or has no free
    large pages, leaves areas as they are; so each answer is right.
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
    """The large anonymous areas in the words of proc_pid_maps(5), as whole large pages.

    >>> small = "7f0002000000-7f0003000000 r--p 0 00:00 0 \\n"
    >>> list(_areas("7f0000000000-7f0001100000 rw-p 00000000 00:00 0 \\n" + small))
    [(139637976727552, 139637993504768)]
    """
    for found in _ANONYMOUS.finditer(maps):
        start, end = (int(address, 16) for address in found.groups())
        start, end = -(-start // _PAGE_BYTES) * _PAGE_BYTES, end // _PAGE_BYTES * _PAGE_BYTES
        if end - start >= _MIN_AREA_BYTES:
            yield start, end
