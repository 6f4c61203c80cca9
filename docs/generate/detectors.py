"""The page of detectors, from their docstrings in numpydoc's form and the values that tuning
tries.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

from docs.generate.docstrings import code, table

from shroff.detect import (
    GAN,
    KNN,
    MLP,
    Autoencoder,
    Blend,
    BoostedTrees,
    DeepSVDD,
    Detector,
    IsolationForest,
    LinearSVM,
    LogisticRegression,
    Mahalanobis,
    Rules,
)
from shroff.detect.space import Choice, Range

KINDS: tuple[type[Detector], ...] = (
    Rules,
    LogisticRegression,
    LinearSVM,
    BoostedTrees,
    MLP,
    IsolationForest,
    KNN,
    Mahalanobis,
    DeepSVDD,
    GAN,
    Autoencoder,
    Blend,
)
"""In the order of the page: rules, then with labels, then without, then together."""

_SECTION = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\S.*)\n((?:    .*\n?)+)", re.MULTILINE)


class Entry(NamedTuple):
    """A parameter or an attribute: its type, its default as it is written (None: required), and
    what it means.
    """

    kind: str
    default: str | None
    meaning: str


class Numpydoc(NamedTuple):
    """A docstring in numpydoc's form: prose, then sections by name."""

    prose: str
    sections: Mapping[str, str]

    def entries(self, section: str) -> dict[str, Entry]:
        """The parameters, attributes or errors of a section by name."""
        found = {}
        for head, text in _ENTRY.findall(self.sections.get(section, "") + "\n"):
            name, _, rest = head.partition(" : ")
            kind, _, default = rest.partition(", default=")
            found[name] = Entry(kind, default or None, " ".join(text.split()))
        return found

    @property
    def sources(self) -> list[str]:
        """The papers, one each."""
        entries = re.split(r"\n(?=\S)", self.sections.get("References", "").strip())
        return [" ".join(entry.split()) for entry in entries if entry]


def read(documented: object) -> Numpydoc:
    """The parts of a docstring in numpydoc's form."""
    prose, *parts = _SECTION.split(inspect.getdoc(documented) or "")
    return Numpydoc(
        prose.strip(), dict(zip(parts[::2], map(textwrap.dedent, parts[1::2]), strict=True))
    )


def pages() -> dict[str, str]:
    """One page, with a section for each detector."""
    learned = read(Detector).entries("Attributes")
    parts = [
        "# Detectors: parameters",
        "Every public detector of `shroff.detect` with its parameters, what it learns, its "
        "errors and its source. [Detectors](../detectors.md) says which to take.",
        table(
            ["detector", "needs labels", "score"],
            [[_link(kind), _labels(kind), _score(kind)] for kind in KINDS],
        ),
        "Every detector learns these too:",
        _attributes(learned),
        *(_section(kind) for kind in KINDS),
    ]
    return {"detectors.md": "\n\n".join(parts) + "\n"}


def _section(kind: type[Detector]) -> str:
    text = read(kind)
    rows = [
        [
            f"`{name}`",
            f"`{one.kind}`",
            _default(one),
            _tuned(kind.search_space.get(name)),
            one.meaning,
        ]
        for name, one in text.entries("Parameters").items()
    ]
    parts = [
        f"## {kind.__name__}",
        text.prose,
        table(["parameter", "type", "default", "tuned over", "meaning"], rows),
    ]
    if learned := text.entries("Attributes"):
        parts += ["What `fit` learns:", _attributes(learned)]
    errors = [[f"`{name}`", one.meaning] for name, one in text.entries("Raises").items()]
    parts += ["Errors:", table(["error", "when"], errors)] if errors else []
    parts += (
        ["Source:", "\n".join(f"- {source}" for source in text.sources)] if text.sources else []
    )
    return "\n\n".join([*parts, code(text.sections["Examples"].strip())])


def _default(one: Entry) -> str:
    return "required" if one.default is None else f"`{one.default}`"


def _attributes(learned: Mapping[str, Entry]) -> str:
    return table(
        ["attribute", "type", "meaning"],
        [[f"`{name}`", one.kind, one.meaning] for name, one in learned.items()],
    )


def _tuned(values: Range | Choice | None) -> str:
    if values is None:
        return ""
    if isinstance(values, Choice):
        return ", ".join(f"`{option!r}`" for option in values.options)
    return f"{values.low:g} to {values.high:g}" + (", by orders of magnitude" if values.log else "")


def _link(kind: type[Detector]) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _labels(kind: type[Detector]) -> str:
    return {True: "yes", False: "no"}.get(
        kind.needs_labels, "if one of its detectors does, or to stack"
    )


def _score(kind: type[Detector]) -> str:
    return read(kind).prose.splitlines()[0].removesuffix(".")
