"""What one request may cost: its neighbours no long wait, the process little memory, whatever is in
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from benchmarks.neighbours import MAX_MIB, MAX_STALL_SECONDS, asked, best
from benchmarks.neighbours_cases import CASES, Case
from benchmarks.neighbours_files import File, files

from serve.service import Service

STALL = 3 * MAX_STALL_SECONDS
"""Seconds: other tests run at the same time. The faults that this guards against took 0.5 to 5
seconds.
"""
TRIES = 40
FILE_STALL, FILE_TRIES = 2.0, 4
"""A file takes seconds, in some of which other tests have the processor. What the service itself
does meanwhile, tests/control/test_live_replacements.py measures by its processor time.
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    with asked(tmp_path_factory.mktemp("neighbours")) as found:
        yield found


@pytest.mark.parametrize("case", [*CASES, *files(100_000)], ids=lambda case: case.name)
def test_a_request_or_file_costs_its_neighbours_little(
    running: tuple[Service, str], case: Case | File, record_property: Callable[[str, object], None]
) -> None:
    service, token = running
    stall, tries = (STALL, TRIES) if isinstance(case, Case) else (FILE_STALL, FILE_TRIES)
    cost = best(
        service,
        token,
        case,
        tries=tries,
        enough=lambda one: one.stall < stall and one.mib < MAX_MIB,
    )
    record_property("cost", str(cost))
    assert cost.status == case.status
    assert (cost.stall < stall, cost.mib < MAX_MIB) == (True, True), cost
    log = [line for line in service.log.read_text().splitlines() if "refused" not in line]
    assert log == []


def test_the_service_still_decides(running: tuple[Service, str]) -> None:
    service, token = running
    health = service.request("GET", "/health/ready", headers={"authorization": f"Bearer {token}"})
    assert health.status_code == 200
