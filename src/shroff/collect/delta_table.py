"""A Delta table, local or in object storage: one version, unaffected by later writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Final

import polars as pl

from shroff.collect.remote import CHUNK_ROWS, Bookmark, TableChunk
from shroff.collect.slices import in_slices
from shroff.errors import BadFile, ConfigurationError, ShroffError, SourceUnavailable
from shroff.location import FORMS, Location

_VERSION: Final = re.compile("[0-9]{1,18}")


class DeltaLog:
    """The table of a location, at its `version`, by default the newest."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._uri = location.text.removeprefix("delta:").partition("?")[0]
        version = location.options.get("version")
        if not self._uri or (version is not None and not _VERSION.fullmatch(version)):
            raise ConfigurationError(
                f"{location}: expected {FORMS['delta']}, with ?version=NUMBER if not the newest."
            )
        self._asked = None if version is None else int(version)
        self._version: int | None = None

    def columns(self) -> list[str]:
        """The table's columns."""
        with self._answering():
            return self._scan(self._chosen()).collect_schema().names()

    def count(self) -> int:
        """The number of rows."""
        with self._answering():
            return int(self._scan(self._chosen()).select(pl.len()).collect().item())

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The rows in the order of the table's files; a read resumes in the version it began in."""
        version, done = after or (self._chosen(), 0)
        with self._answering():
            table = self._scan(version)
            there = table.collect_schema().names()
            wanted = table.select(name for name in there if names is None or name in names)
            for part in in_slices(wanted, done):
                for batch in part.iter_slices(CHUNK_ROWS) if len(part) else [part]:
                    done += len(batch)
                    yield TableChunk(batch, [version, done])

    def _chosen(self) -> int:
        """The number of the version, which then stays the same."""
        if self._version is None:
            with self._answering():
                newest = int(import_module("deltalake").DeltaTable(self._uri).version())
            if self._asked is not None and self._asked > newest:
                # deltalake would probe each version in between
                raise self._lacking(self._asked)
            self._version = newest if self._asked is None else self._asked
        return self._version

    def _scan(self, version: int) -> pl.LazyFrame:
        return pl.scan_delta(self._uri, version=version)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        errors = import_module("deltalake").exceptions
        try:
            yield
        except ShroffError:
            raise
        except errors.TableNotFoundError:
            raise BadFile(f"{self._location}: expected a Delta table, found none.") from None
        except errors.DeltaProtocolError:
            raise BadFile(
                f"{self._location}: expected a Delta table that Polars can read, got one with a "
                "feature that it cannot, such as column mapping; write it again without."
            ) from None
        except (errors.DeltaError, pl.exceptions.PolarsError, OSError) as error:
            if self._asked is not None and "://" not in self._uri:
                raise self._lacking(self._asked) from None
            raise SourceUnavailable(
                f"{self._location}: expected a storage that answers, got {type(error).__name__}."
            ) from None

    def _lacking(self, version: int) -> BadFile:
        return BadFile(
            f"{self._location}: expected version {version} of a Delta table, found none that can "
            "be read: was it vacuumed?"
        )
