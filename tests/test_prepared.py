"""Structures made ready before threads share them."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

FIRST_USES: Final = """
import sys, threading, msgspec
from shroff.prepared import prepare_types

sys.setswitchinterval(1e-6)
fields = [(f"f{at}", int, 0) for at in range(10)]
for attempt in range(50):
    parts = [msgspec.defstruct(f"Part{at}", fields, module="shroff.made") for at in range(10)]
    of = [(f"g{at}", part) for at, part in enumerate(parts)]
    whole = msgspec.defstruct("Whole", of, module="shroff.made")
    text = msgspec.json.encode({name: {} for name, _ in of})
    assert prepare_types() >= 11
    together = threading.Barrier(4)
    def decode():
        together.wait()
        msgspec.json.decode(text, type=whole)
    threads = [threading.Thread(target=decode) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
"""


def test_threads_may_decode_a_new_structure_at_once() -> None:
    # without `prepare_types` msgspec 0.22 ends this process with a segmentation fault
    assert subprocess.run([sys.executable, "-c", FIRST_USES], check=False).returncode == 0
