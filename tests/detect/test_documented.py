"""Every detector documents its parameters, with their real defaults, and what it learns."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from docs.generate.detectors import KINDS, read
from docs.generate.docstrings import type_name

import shroff.detect
from shroff.detect import Detector

GUIDE = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
SHARED = read(Detector).entries("Attributes").keys()

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def test_every_public_detector_has_a_section() -> None:
    public = (getattr(shroff.detect, name) for name in shroff.detect.__all__)
    kinds = {one for one in public if isinstance(one, type) and issubclass(one, Detector)}
    assert set(KINDS) == kinds - {Detector}


@each_kind
def test_every_parameter_is_documented_with_its_type_and_default(kind: type[Detector]) -> None:
    documented = read(kind).entries("Parameters")
    parameters = inspect.signature(kind, eval_str=True).parameters
    assert list(documented) == list(parameters)
    for name, one in documented.items():
        default = parameters[name].default
        assert one.default == (None if default is inspect.Parameter.empty else repr(default)), name
        assert one.kind == type_name(parameters[name].annotation), name
        assert one.meaning.endswith("."), name


@each_kind
def test_every_learned_attribute_is_documented(kind: type[Detector]) -> None:
    classes = [
        one
        for one in kind.__mro__
        if one.__module__.startswith("shroff.detect") and one is not Detector
    ]
    trees = [ast.parse(inspect.getsource(one)) for one in classes]
    stored = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr.endswith("_")
    }
    learned = stored - SHARED
    assert read(kind).entries("Attributes").keys() == learned


@each_kind
def test_every_detector_but_rules_names_its_source(kind: type[Detector]) -> None:
    assert bool(read(kind).sources) == (kind.__name__ != "Rules")
    assert f"](reference/detectors.md#{kind.__name__.lower()})" in GUIDE
