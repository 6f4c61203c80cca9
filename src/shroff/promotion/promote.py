"""A promotion: gates measure a bundle, and it moves to the stage that they let it pass to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from shroff.control.history import GateResult
from shroff.control.models import Models
from shroff.control.pointers import Measured, Role
from shroff.decide.standing import own
from shroff.errors import ConfigurationError, NotFound
from shroff.experiment import RunRecord, Runs
from shroff.package import Bundle, load
from shroff.promotion import gates
from shroff.promotion.evidence import Contender, Evidence
from shroff.promotion.gates import USUAL_BUDGET, Budget

Target = Literal["candidate", "production"]


class Promotion(NamedTuple):
    """What became of a promotion: the bundle, its `stage` now, and what each gate found."""

    bundle: Bundle
    stage: str
    gates: tuple[GateResult, ...]
    forced: bool

    @property
    def refused(self) -> bool:
        """Whether a gate refused it, and nobody forced it."""
        return not self.forced and not all(one.passed for one in self.gates)


def promote(
    models: Models,
    folder: Path,
    to: Target,
    evidence: Callable[[Contender, Contender | None], Evidence],
    *,
    missing: Callable[[Bundle], Sequence[str]],
    by: str | None,
    why: str,
    budget: Budget = USUAL_BUDGET,
    force: bool = False,
    accept_schema: bool = False,
    own_policy: bool = False,
) -> Promotion:
    """Measure a bundle, and move it to a stage if every gate lets it pass.

    A bundle on its way to production is a candidate first: it stays one where only the comparison
    with the incumbent or its model card refuses it. A refusal is in the history too.

    Args:
        evidence: the payments to measure a candidate and the model in production on.
        missing: what a bundle's model card lacks, a sentence each.
        force: move it although a gate refuses; the history says so.
        accept_schema, own_policy: see `Models.publish`.

    Raises:
        ConfigurationError: it is in production already, its schema differs, the policy does not fit
            it, or another model came into production meanwhile.
        ConsentRequired: `own_policy`, where one person alone may not change the policy.
        BundleError: it is no sound bundle.
    """
    if own_policy:
        models.require_no_consent()
    bundle, pointers = load(folder), models.pointers
    if bundle.version == pointers.production:
        raise ConfigurationError(f"version {bundle.version} is in production already.")
    if not accept_schema:
        models.require_same_schema(bundle, pointers)
    policy = own(bundle) if own_policy else models.policy_beside(bundle, pointers)
    candidate = Contender(bundle, policy)
    incumbent = None if pointers.production is None else Contender(*models.in_production())
    seen = evidence(candidate, incumbent)
    sampled = gates.sample(candidate, seen)
    found: tuple[GateResult, ...] = (
        gates.examined(bundle),
        gates.equal(seen, sampled),
        gates.fast(sampled, budget),
    )

    def move(role: Role, results: tuple[GateResult, ...]) -> bool:
        passed = all(one.passed for one in results)
        if passed or force:
            measured = Measured(results, pointers.production, forced=not passed)
            models.publish(
                folder,
                role=role,
                by=by,
                note=why,
                accept_schema=accept_schema,
                own_policy=own_policy and role == "production",
                measured=measured,
            )
        return passed

    passed = move("shadow", found)
    if to == "production":
        found = (*found, gates.better(seen, incumbent, budget), gates.described(missing(bundle)))
        passed = move("production", found)
    if not passed and not force:
        role: Role = "production" if to == "production" else "shadow"
        refused = Measured(found, pointers.production)
        models.refuse(bundle.version, role=role, by=by, note=why, measured=refused)
    now = models.pointers
    stage = now.stage(bundle.version) if bundle.version in models else "research"
    return Promotion(bundle, stage, found, force and not passed)


def find_bundle(models: Models, runs: Runs, source: str) -> Path:
    """The folder of a bundle: the folder itself, or what a run of `shroff train` packaged, by the
    run's name or by the version, which may be published or not.

    Raises:
        NotFound: it is none of them.
        ConfigurationError: the run packaged no bundle, or another one is there by now.
    """
    if Path(source).exists():
        return Path(source)
    if source in models:
        return models.folder / "versions" / source
    record = _packaging(runs, source)
    if record.bundle is None:
        raise ConfigurationError(
            f"the run {record.run} packaged no bundle: train it with `--bundle FOLDER`."
        )
    folder, version = Path(record.bundle["folder"]), record.bundle["version"]
    if version in models:
        return models.folder / "versions" / version
    if load(folder).version != version:
        raise ConfigurationError(
            f"{folder}: expected the bundle that the run {record.run} packaged, got another."
        )
    return folder


def _packaging(runs: Runs, source: str) -> RunRecord:
    """The run of a name, or that packaged a version."""
    try:
        return runs.find(source)
    except NotFound as error:
        try:
            return runs.maker(source)
        except NotFound:
            raise NotFound(
                f"{source}: no folder, no version that was published or that a run packaged, and "
                f"{error}"
            ) from None
