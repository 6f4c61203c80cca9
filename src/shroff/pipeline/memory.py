"""How much memory a training takes, and a refusal before it begins where there is less."""

from __future__ import annotations

import os
from math import ceil, floor
from pathlib import Path
from typing import Final

from shroff.collect import parquet_rows
from shroff.errors import ConfigurationError
from shroff.experiment.dataset import default_inputs
from shroff.project import Project

_PROCESS_BYTES: Final = 700 << 20
"""About the bytes that the process takes before it has read a row."""
_COLUMN_BYTES: Final = 16
"""About the bytes of a value in a clean table: most are texts."""
_FEATURE_BYTES: Final = 8
_INPUT_BYTES: Final = 12
"""A detector's input as float32, and what two fits at a time make of it."""
_OTHER_BYTES: Final = 60
"""Labels, cards, scores and probabilities of a row."""
_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


def training_bytes(project: Project, rows: int) -> int:
    """About the most bytes that training on so many payments takes at once."""
    plan = project.plan
    inputs = default_inputs(plan) if project.inputs is None else project.inputs
    table = _COLUMN_BYTES * len(plan.schema.scales) + _FEATURE_BYTES * len(plan.names)
    return _PROCESS_BYTES + rows * (table + _INPUT_BYTES * len(inputs) + _OTHER_BYTES)


def payment_rows(data: str | os.PathLike[str]) -> int:
    """The rows of a Parquet file; 0 for other data, whose rows are known when it is read."""
    path = os.fspath(data)
    local = path.lower().endswith(".parquet") and Path(path).is_file()
    return parquet_rows(path) if local else 0


def require_memory(project: Project, rows: int, memory: int | None = None) -> None:
    """Raise `ConfigurationError` where training takes more than so many bytes, or than there are.

    Args:
        memory: the most to use; by default what the machine and the control group have.
    """
    have = available_bytes() if memory is None else memory
    need = training_bytes(project, rows)
    if need <= have or not rows:
        return
    each = (need - _PROCESS_BYTES) / rows
    fit = int((have - _PROCESS_BYTES) / each) // 1000 * 1000
    # with fewer it would take about as much
    advice = (
        f"train on the latest {fit:,} payments, on fewer features or on a larger machine"
        if fit > 0
        else "free some, or train on a larger machine"
    )
    # rounded apart, so that the two are never the same
    raise ConfigurationError(
        f"to train on {rows:,} payments takes about {ceil(need / 1e8) / 10:.1f} GB of memory, and "
        f"{floor(have / 1e8) / 10:.1f} GB may be used: {advice}, or say with --memory "
        "(SHROFF_MEMORY) how much may be used."
    )


def available_bytes() -> int:
    """The bytes that this process can still take: those of the machine, or of its control group."""
    have = [_available_here() or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:
        groups = ""  # no Linux
    for file in limit_files(groups, _CONTROL_GROUPS):
        try:
            text = file.read_text().strip()
        except OSError:
            continue  # a container sees its own group as the first of all
        have += [int(text)] if text.isdigit() else []
    return min(have)


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
