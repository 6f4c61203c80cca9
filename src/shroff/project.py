"""A user's project: one Python file that holds the definitions, `project = Project(…)`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shroff.arguments import wrong_argument
from shroff.collect.schema import Kind, Schema
from shroff.decide.judge import check, require_values, states_of_rules
from shroff.decide.policy import Policy
from shroff.errors import (
    BadFile,
    ConfigurationError,
    ShroffError,
    UnknownColumn,
    did_you_mean,
)
from shroff.expression import parse
from shroff.expression.budget import require_affordable_together
from shroff.features.conditions import require_currencies
from shroff.features.group import FeatureGroup, card_key, with_vectors
from shroff.features.plan import Plan
from shroff.location import found_at, paths_in
from shroff.report.declared import ModelCard

if TYPE_CHECKING:
    from shroff.detect import Detector
    from shroff.embed import TokenVectors, Vectors
    from shroff.evaluate.split import AnySplit
    from shroff.features.vectors import TokenTable


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything a team defines: schema, features, detectors, policy.

    Args:
        schema: what the columns of the payment log are.
        features: feature groups; their definitions are checked here, against the schema.
        detectors: what `train` trains and compares.
        policy: what is done about a payment; by default thresholds of the least `Cost()`, and no
            rules.
        inputs: names of the columns and features that detectors learn from; by default the amount,
            the numeric, nominal and looked-up columns, and all features.
        card: the column that cards are told apart by in Card Precision@k; by default the key of an
            entity called `card`.
        join: the payment id on which a second table of pre-computed statistics is joined.
        split: how to split when the command line does not say, as the text that `--split` takes or
            as a split of `shroff.evaluate`. Every test payment is judged unless it says
            `known_cards=drop`.
        vectors: what vectors of tokens are learned of (`shroff.embed.Vectors`);
            `shroff embed train` learns them.
        learned: the files that it wrote, each of one of them, which features read; one that is not
            there yet is not learned yet. In a project's file, paths are relative to that file.
        model_card: what people declare of the model, for `shroff card`.

    Raises:
        ConfigurationError: definitions that do not fit together; InvalidExpression, an expression
            that does not parse or fit.
        BadFile: a file of vectors is damaged.
        UnknownColumn: an expression, a feature or `card` names a column or feature that there is
            not.

    >>> from shroff import Entity, FeatureGroup, Policy, Project, Rule, Schema
    >>> payments = Schema(id="id", time="at", amount="amount", label="is_fraud")
    >>> velocity = FeatureGroup("velocity", [Entity("card", "card_id").count("1h")])
    >>> busy = Rule("busy", "card_count_1h > 20", action="decline")
    >>> Project(schema=payments, features=[velocity], policy=Policy(rules=[busy])).card_column
    'card_id'
    >>> Project(schema=payments, policy=Policy(rules=[busy]))
    Traceback (most recent call last):
    shroff.errors.UnknownColumn: rule `busy`: unknown column `card_count_1h` in `card_count_1h > 20`
    """

    schema: Schema
    features: Sequence[FeatureGroup] = ()
    detectors: Sequence[Detector] = ()
    policy: Policy = field(default_factory=Policy)
    inputs: Sequence[str] | None = None
    card: str | None = None
    join: str | None = None
    split: str | AnySplit = "time:70/30"
    vectors: Sequence[Vectors] = ()
    learned: Sequence[str | Path] = ()
    model_card: ModelCard | None = None

    def __post_init__(self) -> None:
        if self.vectors or self.learned:
            object.__setattr__(self, "features", with_vectors(self.features, self._tables()))
        for group in self.features:
            if group.of is not None and group.of != self.schema:
                raise ConfigurationError(
                    f"feature group `{group.name}` is of another schema than the project's."
                )
        for detector in self.detectors:
            detector.check_parameters()
        self.policy.require_probabilities()
        plan = self.plan
        for vectors in self.vectors:
            vectors.require_fit(plan.schema)
        for condition in plan.conditions:
            require_currencies(condition, self.schema)
        check(self.policy, self.known)
        require_values(self.policy, self.known, self.schema)
        rules = states_of_rules(self.policy, self.known)
        require_affordable_together({"features": plan.states, "the rules of the policy": rules})
        if self.card is not None and self.card not in plan.schema.scales:
            hint = did_you_mean(self.card, plan.schema.scales) or "."
            raise UnknownColumn(f"Project(card=…): unknown column `{self.card}`{hint}")

    @cached_property
    def token_vectors(self) -> Mapping[str, TokenVectors]:
        """What was learned of its vectors, by name."""
        from shroff.embed import read_vectors

        named = {one.name: one for one in self.vectors}
        found: dict[str, TokenVectors] = {}
        for path in map(found_at, self.learned):
            if not path.exists():
                continue
            one = read_vectors(path)
            name = one.lesson.definition.name
            if named.get(name) != one.lesson.definition:
                why = (
                    "another definition of"
                    if name in named
                    else "no definition of the project's but of"
                )
                raise ConfigurationError(
                    f"{path}: it was learned from {why} `{name}`; remove it, then `shroff embed "
                    "train` learns it again."
                )
            found[name] = one
        return found

    def _tables(self) -> tuple[TokenTable, ...]:
        learned = self.token_vectors
        return tuple(
            learned[one.name].table if one.name in learned else one.table for one in self.vectors
        )

    @property
    def plan(self) -> Plan:
        """The features checked against the schema, ready to be computed."""
        return Plan(self.features, self.schema)

    @property
    def known(self) -> dict[str, Kind]:
        """The columns and features that are known when a payment is judged."""
        plan = self.plan
        known = {
            name: kind for name, kind in plan.schema.kinds.items() if name not in plan.schema.later
        }
        return {**known, **plan.kinds}

    def columns_of(self, condition: str) -> frozenset[str]:
        """The columns and features that a SQL condition of a rule or a detector reads."""
        return parse(condition, self.known, list(self.policy.lists)).columns

    @property
    def card_column(self) -> str | None:
        """The column that cards are told apart by."""
        return self.card if self.card is not None else card_key(self.features)


def project_file(path: str | Path) -> Path:
    """The Python file of a project: the path itself, or `project.py` in a folder."""
    file = Path(path)
    return file / "project.py" if file.is_dir() else file


def load_project(path: str | Path) -> Project:
    """The `project` of a Python file, or of the `project.py` in a folder.

    Files that it names by relative paths, such as reference tables, are looked for in its folder,
    also those that modules name which it imports.

    Raises:
        BadFile: no such file.
        ConfigurationError: the file fails to run, or defines no `project`.
    """
    file = project_file(path)
    if not file.is_file():
        raise BadFile(f"{file}: no such file; expected a Python file with `project = Project(…)`.")
    spec = importlib.util.spec_from_file_location("shroff_user_project", file)
    if spec is None or spec.loader is None:
        raise BadFile(f"{file}: expected a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with paths_in(file.parent):
            spec.loader.exec_module(module)
    # the file is the user's program: whatever it raises is reported, an exit too
    except (Exception, SystemExit) as error:
        if wrong := wrong_argument(error):
            raise ConfigurationError(wrong) from error
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(file.absolute())
        ]
        where = f", line {lines[-1]}" if lines else ""
        kind = "" if isinstance(error, ShroffError) else f"{type(error).__name__}: "
        raise ConfigurationError(f"{file}{where}: {kind}{error}{_beside(file, error)}") from error
    project = getattr(module, "project", None)
    if not isinstance(project, Project):
        raise ConfigurationError(f"{file}: expected it to define `project = Project(…)`.")
    return project


def _beside(file: Path, error: BaseException) -> str:
    """What to do where a project imports a module of its own folder."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    module = file.parent / (name or "").partition(".")[0]
    if not name or not (module.is_dir() or module.with_suffix(".py").is_file()):
        return ""
    return (
        f"; it is beside that file, where Python finds it after `export PYTHONPATH={file.parent}`."
    )
