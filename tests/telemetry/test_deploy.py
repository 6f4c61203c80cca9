"""The dashboard, the alerts and the documentation name what a running service tells, and real
Prometheus takes them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import patience
from patience import PATIENCE
from serve.service import Service
from servers import free_port
from shroff.control import Keys
from shroff.monitor import figures as monitored
from shroff.telemetry import Family
from telemetry.scraped import Scrape
from web import TRUST

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "shroff.json"
NAME = re.compile(r"\b(?:shroff|process)_[a-z_]+\b")
ROWS = [
    "Traffic",
    "Latency by stage",
    "Decisions",
    "Ledger",
    "State and models",
    "Shadow",
    "Errors and control",
    "Kafka",
    "Monitoring",
]
MONITORED = {one for one in vars(monitored).values() if isinstance(one, Family)}
"""What `shroff monitor` writes into a file, and no service tells."""


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


@pytest.fixture(scope="module")
def found(service: Service) -> Scrape:
    return Scrape.of(service)


@pytest.fixture(scope="module")
def panels() -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return held


@pytest.mark.parametrize(
    "file", [PROMETHEUS / "alerts.yml", PROMETHEUS / "alerts_test.yml", DASHBOARD], ids=str
)
def test_every_metric_that_is_named_is_told_by_the_service(found: Scrape, file: Path) -> None:
    named = set(NAME.findall(file.read_text()))
    assert len(named) >= 8
    assert named <= found.names | {family.exposed for family in MONITORED}


def test_the_dashboard_shows_every_metric_there_is(found: Scrape) -> None:
    shown = set(NAME.findall(DASHBOARD.read_text()))
    assert {family.exposed for family in MONITORED} <= shown
    for family in found.families:
        assert not family.startswith("shroff") or any(name.startswith(family) for name in shown), (
            family
        )


def test_the_dashboard_has_its_rows_and_no_panel_lies_on_another(
    panels: list[dict[str, Any]],
) -> None:
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ROWS
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_promtool_accepts_the_alerts_and_they_fire_on_what_they_are_for() -> None:
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [promtool(), *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def prometheus(bundle_folder: Path, tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A service with keys, and the URL of a real Prometheus that scrapes it by our example with a
    key of its own.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    home = tmp_path / "home"
    home.mkdir()
    keys = Keys(f"sqlite:///{home / 'control.db'}")
    (tmp_path / "shroff.key").write_text(keys.create("prometheus", ["read"]))
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    with Service(bundle_folder, home, keys=True) as service:
        host, port = service.address
        example = (PROMETHEUS / "prometheus.yml").read_text()
        mine = example.replace("127.0.0.1:8080", f"{host}:{port}").replace("15s", "1s")
        (tmp_path / "prometheus.yml").write_text(mine)
        url = f"127.0.0.1:{free_port()}"
        options = [
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={url}",
            "--log.level=error",
        ]
        process = subprocess.Popen(
            [program, f"--config.file={tmp_path / 'prometheus.yml'}", *options]
        )
        try:
            yield service, f"http://{url}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def test_prometheus_scrapes_by_the_example_and_every_panel_can_be_asked(
    prometheus: tuple[Service, str],
    pay: Callable[..., dict[str, Any]],
    panels: list[dict[str, Any]],
) -> None:
    _, url = prometheus
    assert until(lambda: ask(url, 'up{job="shroff"} == 1'))
    assert ask(url, "shroff_ready")[0]["value"][1] == "1"
    for panel in panels:
        for target in panel.get("targets", ()):
            ask(url, target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*"))


def ask(url: str, query: str) -> list[dict[str, Any]]:
    response = httpx.get(f"{url}/api/v1/query", params={"query": query}, verify=TRUST)
    if response.status_code == 503:
        response.raise_for_status()  # it is starting
    answer = response.json()
    assert answer["status"] == "success", (query, answer)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def until(holds: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def held() -> bool:
        try:
            found.append(holds())
        except httpx.HTTPError:
            return False  # it does not listen yet, or is not ready
        return bool(found[-1])

    patience.until(held)
    return found[-1]


def test_the_documentation_lists_every_metric_as_it_is(found: Scrape) -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE)
    ends = {"counter": "_total"}
    told = {
        (family.name + ends.get(family.type, ""), family.type, family.documentation)
        for family in found.families.values()
        if family.name.startswith("shroff")
    }
    told |= {(family.exposed, family.kind, family.about) for family in MONITORED}
    assert {(name, kind, about) for name, kind, _, about in rows} == told
    labels = {name: set(re.findall(r"`(\w+)`", words)) for name, _, words, _ in rows}
    for family in found.families.values():
        for sample in family.samples:
            if family.name.startswith("shroff"):
                name = family.name + ends.get(family.type, "")
                assert set(sample.labels) - {"le"} == labels[name], name
