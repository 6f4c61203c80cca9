"""The files of `deploy/` that start Shroff: their commands, settings and rights, and what the
checkers of Kubernetes and systemd say of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from shroff.cli import app
from shroff.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSED: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())[
    "services"
]
OURS = {name: part for name, part in COMPOSED.items() if part["image"] == "shroff"}
OBJECTS: list[dict[str, Any]] = [
    *yaml.safe_load_all((DEPLOY / "kubernetes" / "shroff.yaml").read_text())
]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def pods(node: object) -> Iterator[dict[str, Any]]:
    """The descriptions of pods anywhere in an object."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for inner in node.values():
            yield from pods(inner)


PODS = [pod for each in OBJECTS for pod in pods(each)]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of Shroff that a file of `deploy/` starts, and which file's."""
    for name, part in OURS.items():
        yield f"compose {name}", part["command"]
    for pod in PODS:
        yield f"kubernetes {pod['containers'][0]['name']}", pod["containers"][0]["args"]
    for unit in UNITS:
        line = re.search(r"^ExecStart=/opt/shroff/bin/shroff (.+)$", unit.read_text(), re.MULTILINE)
        assert line, unit
        yield unit.name, line[1].split()
    started = re.search(r"^CMD \[(.+)\]$", DOCKERFILE.split("HEALTHCHECK")[1], re.MULTILINE)
    assert started
    yield "Dockerfile", [word.strip('" ') for word in started[1].split(",")]


@pytest.mark.parametrize(("where", "words"), list(commands()), ids=lambda value: str(value)[:40])
def test_every_command_is_one_of_the_program(where: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        context = command.make_context(None, [], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]
    # fails with click's own sentence where an option is unknown or a value is none of its type
    command.make_context(where, list(words), parent=context)


def test_every_setting_is_one_of_the_program() -> None:
    known = {f"SHROFF_{field.name.upper()}" for field in fields(Settings)}
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert set(re.findall(r"SHROFF_[A-Z_]*[A-Z]", path.read_text())) <= known, path


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_images_have_a_version(name: str) -> None:
    image = COMPOSED[name]["image"]
    assert image == "shroff" or re.search(r":v?\d", image)


@pytest.mark.parametrize("name", OURS)
def test_composed_services_have_no_rights(name: str) -> None:
    part = OURS[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert "privileged" not in part
    for port in part.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "published to this machine only"


@pytest.mark.parametrize("described", OBJECTS, ids=lambda each: each["kind"])
def test_kubernetes_knows_every_field(described: dict[str, Any]) -> None:
    kubernetes_validate.validate(described, "1.32", strict=True)


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["containers"][0]["name"])
def test_pods_have_no_rights(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_a_volume_of_every_mount_is_declared() -> None:
    claims = {
        claim["metadata"]["name"]
        for each in OBJECTS
        for claim in each.get("spec", {}).get("volumeClaimTemplates", ())
    }
    for pod in PODS:
        declared = claims | {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= declared


def test_the_image_has_extras_that_there_are_and_a_user_without_rights() -> None:
    extras = re.search(r"ARG EXTRAS=(\S+)", DOCKERFILE)
    assert extras
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(known)
    user = re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE)
    assert user == ["10001"] == [str(pod["securityContext"]["runAsUser"]) for pod in PODS][:1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    # the program is installed elsewhere here
    text = unit.read_text().replace("/opt/shroff/bin/shroff", "/bin/true")
    for other in UNITS:
        (tmp_path / other.name).write_text(text if other == unit else other.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
