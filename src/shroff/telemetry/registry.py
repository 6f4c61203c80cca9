"""The registry asks each room for its figures at each scrape and writes them as asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder, generate_latest

from shroff.telemetry.family import Figure, Source
from shroff.telemetry.fleet import Fleet

_MAX_SURVEY_AGE_SECONDS: Final = 15.0
"""The age at which a survey is repeated for the other workers."""


async def _nothing() -> None:
    """No figure needs a survey."""


class Registry:
    """The figures of all rooms.

    Args:
        sources: give the figures of one room each, in the order in which they are written. Rooms
            may add to the same family, each with labels of its own.
        survey: counts, in steps between payments, what takes too long to count at once; made before
            each scrape.
        fleet: the workers whose figures are merged with these.
    """

    def __init__(
        self,
        *sources: Source,
        survey: Callable[[], Awaitable[None]] = _nothing,
        fleet: Fleet | None = None,
    ) -> None:
        self._sources = sources
        self._survey = survey
        self._surveyed = 0.0
        self._fleet = fleet

    async def exposition(self, accept: str) -> tuple[str, bytes]:
        """Media type and text, in the format that the header `Accept` of a scrape prefers."""
        await self._count()
        figures = self._collect()
        metrics = (
            [figure.metric for figure in figures]
            if self._fleet is None
            else self._fleet.together(figures)
        )
        encoder, media = choose_encoder(accept)
        return media, encoder(_Collected(metrics))

    async def keep(self) -> None:
        """Write where the figures stand for the other workers; called once a second."""
        if self._fleet is None:
            return
        if monotonic() - self._surveyed > _MAX_SURVEY_AGE_SECONDS:
            await self._count()
        self._fleet.keep(self._collect())

    async def _count(self) -> None:
        await self._survey()
        self._surveyed = monotonic()

    def _collect(self) -> list[Figure]:
        found: dict[str, Figure] = {}
        for source in self._sources:
            for figure in source():
                known = found.setdefault(figure.family.name, figure)
                if known is not figure:
                    known.metric.samples += figure.metric.samples
        return [*found.values()]


def as_text(figures: Iterable[Figure]) -> bytes:
    """Figures in Prometheus' text format, for a file that its textfile collector reads."""
    return generate_latest(_Collected([figure.metric for figure in figures]))


class _Collected(CollectorRegistry):
    """Metrics that were collected already, as the encoders take them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """What was collected."""
        return iter(self._metrics)
