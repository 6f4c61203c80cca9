"""Large pages: what a process holds is the same in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shroff.serve import memory

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux is asked for large pages"
)

PROGRAM = """
import re
from pathlib import Path
from shroff.serve.memory import settle

def large():
    told = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"AnonHugePages: *([0-9]+)", told)[1])

held = [bytes([n % 251]) * 1_000 for n in range(64_000)]
before = large()
settle()
assert all(one == bytes([n % 251]) * 1_000 for n, one in enumerate(held))
print(large() - before)
"""


def test_what_a_process_holds_comes_into_large_pages() -> None:
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not switch.exists() or "[never]" in switch.read_text():
        pytest.skip("this kernel gives no large pages")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 30_000, "of 64 MB, in kB"


def test_a_container_without_proc_keeps_its_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MAPS", tmp_path / "missing")
    memory.enlarge_pages()
