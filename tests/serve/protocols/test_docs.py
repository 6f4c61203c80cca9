"""docs/protocols.md: every example runs, and answers as it is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.fixtures import make_bundle
from serve.service import Service, needs_curl
from shroff.detect import LogisticRegression, Preparation
from shroff.detect.preparation import Nominal, Numeric
from shroff.package import save
from shroff.project import load_project

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "protocols.md").read_text()
NOTE = "<!-- run by tests/serve/protocols/test_docs.py -->\n"
EXAMPLES = re.findall(rf"```sh\n(curl .*?)```\n\n{NOTE}```json\n(.*?)```", TEXT, flags=re.DOTALL)
SCRIPTS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of the two-table example, with a model that needs no training."""
    home = tmp_path_factory.mktemp("documented")
    schema = load_project(ROOT / "examples" / "two_tables").schema
    preparation = Preparation(
        numeric=tuple(Numeric(name) for name in (schema.amount, *schema.numeric)),
        nominal=tuple(Nominal(name, ("true", "undefined")) for name in schema.nominal),
    )
    rows = np.random.default_rng(0).random((200, len(preparation.names))).astype(np.float32)
    rows[:, len(preparation.numeric) :] = rows[:, len(preparation.numeric) :].round()
    model = LogisticRegression().fit(rows, rows[:, 0] > 0.5, nominal=preparation.nominal_codes)
    parts: dict[str, Any] = {
        "name": "boosted_trees",
        "schema": schema,
        "groups": (),
        "preparation": preparation,
    }
    save(
        make_bundle(bytes(model.to_onnx().SerializeToString()), policy={}, **parts), home / "bundle"
    )
    with Service(home / "bundle", home / "home") as running:
        yield running


def run(service: Service, command: list[str], script: str) -> str:
    """What an example prints, asked of this service."""
    asked = script.replace("127.0.0.1:8080", service.url.removeprefix("http://"))
    assert asked != script
    environment = os.environ | {"KEY": "none"}
    done = subprocess.run(
        [*command, asked], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> Iterator[Any]:
    """The JSON documents in a text, one after another."""
    while text := text.strip():
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]


def shape(value: Any) -> Any:
    """The names in a document, and what kind of values they have."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


@needs_curl
@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_answers_as_it_is_shown(documented: Service, command: str, shown: str) -> None:
    answered = list(documents(run(documented, ["bash", "-c"], command)))
    assert [shape(one) for one in answered] == [shape(one) for one in documents(shown)]


def test_every_interface_has_an_example() -> None:
    assert len(EXAMPLES) == 6
    assert len(SCRIPTS) == 1


def test_the_script_of_the_stock_client_runs(documented: Service) -> None:
    printed = run(documented, [sys.executable, "-c"], SCRIPTS[0])
    assert re.fullmatch(r"\[0\.\d+ +0\.\d+\]\n", printed)
