"""Following the pointers of published models: what is put into production decides, without a restart."""

from __future__ import annotations

import asyncio
import logging

from shroff.errors import ShroffError, Unavailable
from shroff.package import Models, Pointers
from shroff.serve.scorer import Scorer

_log = logging.getLogger("shroff.serve")


class Follower:
    """Keeps a scorer at the models that a folder points to.

    A model that cannot be used changes nothing: the one before goes on, `failure` says why, and the next change of
    the pointers is tried again.
    """

    def __init__(self, models: Models, scorer: Scorer) -> None:
        self._models = models
        self._scorer = scorer
        self._seen: Pointers | None = None
        self.failure: str | None = None
        self.failed = self.adopted = 0

    async def look(self) -> None:
        """Adopt what was published since the last look."""
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
                # what is away comes back: the next look tries again, and says nothing twice
                self._seen = before
                if str(error) == self.failure:
                    return
            self.failure = str(error)
            self.failed += 1
            _log.warning("a published model is not used: %s", error, extra={"event": "publish_failed"})
        else:
            self.failure = None

    async def _follow(self, pointers: Pointers) -> None:
        scorer = self._scorer
        if pointers.production not in (None, scorer.bundle.version):
            bundle = await asyncio.to_thread(self._models.load, pointers.production)
            await scorer.adopt(bundle)
            self.adopted += 1
            _log.info(
                "decides by %s, version %s, from now on.", bundle.name, bundle.version, extra={"event": "model_adopted"}
            )
        if pointers.shadow is None:
            await scorer.compare(None)
        elif scorer.shadow is None or scorer.shadow.bundle.version != pointers.shadow:
            await scorer.compare(await asyncio.to_thread(self._models.load, pointers.shadow))
