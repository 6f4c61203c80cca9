"""The memory of the machine, or what its control groups leave of it to this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """The bytes that are free on this machine, caches included; at most what the control groups
    around this process allow it, whatever it and others in them have taken.
    """
    return min(_available_here() or physical_bytes(), *_group_limits())


def most_bytes() -> int:
    """The bytes that this process could take were it alone: of the machine, or of its group."""
    return min(physical_bytes(), *_group_limits())


def physical_bytes() -> int:
    """The bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _group_limits() -> Iterator[int]:
    """The limits of the control groups around this process; at least one, which may be endless."""
    yield sys.maxsize
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:
        groups = ""  # no Linux
    for file in limit_files(groups, _CONTROL_GROUPS):
        try:
            text = file.read_text().strip()
        except OSError:
            continue  # a container sees its own group as the first of all
        if text.isdigit():
            yield int(text)


def limit_files(groups: str, mount: Path) -> list[Path]:
    """The files that may limit the memory of a process: of its control group and those around it.

    Args:
        groups: the text of `/proc/self/cgroup`, see cgroups(7); of version 1, 2 or both.

    >>> [str(file) for file in limit_files("0::/train.slice", Path("/cgroup"))]
    ['/cgroup/train.slice/memory.max', '/cgroup/memory.max']
    >>> [str(file) for file in limit_files("4:cpu,memory:/\\n5:pids:/a", Path("/cgroup"))]
    ['/cgroup/memory/memory.limit_in_bytes']
    """
    found: list[Path] = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        found += [one / name for one in (group, *group.parents) if one.is_relative_to(top)]
    return found


def _available_here() -> int | None:
    """What Linux could give without swapping, caches included."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kilobytes) << 10 for kilobytes in found), None)
