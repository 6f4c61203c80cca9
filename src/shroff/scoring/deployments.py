"""Follow the published pointers: the model and policy in production decide, without a restart."""

from __future__ import annotations

import asyncio
import logging

from shroff.control.models import Models
from shroff.control.pointers import Pointers
from shroff.errors import ShroffError, Unavailable
from shroff.scoring.scorer import Scorer

_log = logging.getLogger(__name__)


class Deployments:
    """Keeps a scorer at the model and policy that a folder points to.

    A model or policy that cannot be used changes nothing: the one before goes on, `failure` says
    why, and the next change of the pointers is tried again.
    """

    def __init__(self, models: Models, scorer: Scorer) -> None:
        self._models = models
        self._scorer = scorer
        self._seen: Pointers | None = None
        self.failure: str | None = None
        self.failed = self.adopted = self.policies = 0

    async def look(self) -> None:
        """Adopt what was published since the last call."""
        if self._scorer.unready is not None and self._seen is None:
            return
        before = self._seen
        try:
            pointers = await asyncio.to_thread(lambda: self._models.pointers)
            if pointers == self._seen:
                return
            self._seen = pointers
            await self._follow(pointers)
        except ShroffError as error:
            if isinstance(error, Unavailable):
                # the next call tries again, and logs nothing twice
                self._seen = before
                if str(error) == self.failure:
                    return
            self.failure = str(error)
            self.failed += 1
            _log.warning(
                "what was published is not used: %s", error, extra={"event": "publish_failed"}
            )
        else:
            self.failure = None

    async def _follow(self, pointers: Pointers) -> None:
        scorer = self._scorer
        if pointers.production is not None:
            await self._decide_by(pointers.production, str(pointers.standing))
        if pointers.shadow is None:
            await scorer.compare(None)
        elif scorer.shadow is None or scorer.shadow.bundle.version != pointers.shadow:
            candidate = await asyncio.to_thread(self._models.load, pointers.shadow)
            await scorer.compare(
                candidate, await asyncio.to_thread(self._models.policy_beside, candidate, pointers)
            )

    async def _decide_by(self, model: str, policy: str) -> None:
        scorer = self._scorer
        before = scorer.bundle.version, scorer.decider.policy_version
        if before == (model, policy):
            return
        bundle = (
            scorer.bundle
            if before[0] == model
            else await asyncio.to_thread(self._models.load, model)
        )
        await scorer.adopt(bundle, await asyncio.to_thread(self._models.policy, policy))
        if before[0] != model:
            self.adopted += 1
            _log.info(
                "decides by %s, version %s, from now on.",
                bundle.name,
                bundle.version,
                extra={"event": "model_adopted"},
            )
        if before[1] != policy:
            self.policies += 1
            _log.info(
                "decides by policy %s from now on.", policy, extra={"event": "policy_adopted"}
            )
