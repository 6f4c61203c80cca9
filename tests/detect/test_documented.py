"""docs/detectors.md names every detector, every parameter and its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shroff.detect
from shroff.detect import Blend, Detector, Rules

DOCS = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
KINDS = [
    kind
    for kind in (getattr(shroff.detect, name) for name in shroff.detect.__all__)
    if isinstance(kind, type) and issubclass(kind, Detector) and kind is not Detector
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_parameter_stands_there_with_its_default(kind: type[Detector]) -> None:
    (part,) = re.findall(rf"^## {kind.__name__}\n(.*?)(?=^## |\Z)", DOCS, flags=re.MULTILINE | re.DOTALL)
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \| .+ \|$", part, flags=re.MULTILINE))
    needed = {Rules: "conditions", Blend: "detectors"}.get(kind)
    detector = kind() if needed is None else kind(**{needed: []})
    defaults = detector.get_params(deep=False)
    assert rows == {name: "—" if name == needed else repr(value) for name, value in defaults.items()}
