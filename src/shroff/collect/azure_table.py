"""A table of Azure Table storage, by the official SDK: pages of entities in order of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, Final
from uuid import UUID

import polars as pl

from shroff.collect.align import typed
from shroff.collect.remote import CHUNK_ROWS, Bookmark, TableChunk
from shroff.errors import BadFile, ConfigurationError, MissingExtra, ShroffError, SourceUnavailable
from shroff.location import FORMS, Location
from shroff.settings import azure_connection

TIMESTAMP: Final = "Timestamp"
"""When the service changed an entity: metadata of it, and a column here."""


class AzureTable:
    """The table of a location; the account's secret comes from `shroff.settings`."""

    def __init__(self, location: Location) -> None:
        account, _, table = location.text.partition("://")[2].partition("/")
        if not account or not table.isalnum():
            raise ConfigurationError(f"{location}: expected {FORMS['azure-tables']}.")
        self._location = location
        self._account = account
        self._table = table

    def columns(self) -> None:
        """None: each entity has its own."""

    def count(self) -> None:
        """None: the service does not count entities."""

    def chunks(
        self, names: Sequence[str] | None, *, key: str | None, after: Bookmark | None
    ) -> Iterator[TableChunk]:
        """The entities; a read resumes with the service's continuation token, which is lasting."""
        with self._answering(), self._client() as client:
            pages = client.list_entities().by_page(continuation_token=after)
            entities: list[dict[str, Any]] = []
            for page in pages:
                entities += [_values(one) for one in page]
                if pages.continuation_token is not None and len(entities) >= CHUNK_ROWS:
                    yield TableChunk(_rows(entities, names), pages.continuation_token)
                    entities = []
            yield TableChunk(_rows(entities, names), None)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            sdk = import_module("azure.data.tables")
        except ImportError as error:
            raise MissingExtra(
                "tables of Azure need its SDK: `pip install 'shroff[azure]'`."
            ) from error
        connection = azure_connection(self._account)
        try:
            client = sdk.TableClient.from_connection_string(connection, table_name=self._table)
        except ValueError:
            # the error's message may contain the secret
            raise ConfigurationError(
                "expected a connection string in AZURE_STORAGE_CONNECTION_STRING, got another text."
            ) from None
        if client.account_name != self._account:
            raise ConfigurationError(
                f"{self._location}: expected the secret of its account, but "
                f"AZURE_STORAGE_CONNECTION_STRING is of `{client.account_name}`."
            )
        with client:
            yield client

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except ShroffError:
            raise
        except (
            Exception
        ) as error:  # the SDK's errors can be named once it is loaded; others are ours
            raise self._told(error) from error

    def _told(self, error: Exception) -> Exception:
        core = import_module("azure.core.exceptions")
        if not isinstance(error, core.AzureError):
            return error
        code = getattr(error, "status_code", None)
        if code in (401, 403):
            return BadFile(
                f"{self._location}: expected a secret that may read the table, got one that is "
                "refused."
            )
        if code == 404:
            return BadFile(f"{self._location}: expected a table, found none of this name.")
        reason = f"status {code}" if code else type(error).__name__
        return SourceUnavailable(
            f"{self._location}: expected a service that answers, got {reason}."
        )


def _values(entity: Any) -> dict[str, Any]:
    """The properties of an entity as Python values, with its keys and `Timestamp`."""
    values = {name: _plain(value) for name, value in entity.items()}
    changed = entity.metadata.get("timestamp")
    return values if changed is None else values | {TIMESTAMP: _plain(changed)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        # the SDK's class, which Polars does not recognise as a time
        return datetime.combine(value.date(), value.timetz())
    if isinstance(value, UUID):
        return str(value)
    # an Int64 is a pair of value and type
    return value[0] if isinstance(value, tuple) else value


def _rows(entities: Sequence[dict[str, Any]], names: Sequence[str] | None) -> pl.DataFrame:
    there = dict.fromkeys(
        name for entity in entities for name in entity if names is None or name in names
    )
    return pl.DataFrame([typed(name, [entity.get(name) for entity in entities]) for name in there])
