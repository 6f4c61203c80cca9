"""Which source reads a table that is no file."""

from __future__ import annotations

from shroff.collect.mappings import Iso8583, Iso20022
from shroff.collect.remote import Remote
from shroff.collect.schema import Schema
from shroff.errors import ConfigurationError
from shroff.location import Location


def remote_table(location: Location, schema: Schema | None = None) -> Remote:
    """The table at a location that is no file of a table.

    Args:
        schema: of the payments, which says how messages are read.

    Raises:
        ConfigurationError: the location lacks something, or the schema what messages need.
        BadFile: there is no such table.
    """
    # each is imported when it is asked for: sqlglot alone takes as long as all of `collect`
    if location.messages is not None:
        return _messages(location, schema)
    if location.scheme == "delta":
        from shroff.collect.delta_table import DeltaLog

        return DeltaLog(location)
    if location.scheme == "azure-tables":
        from shroff.collect.azure_table import AzureTable

        return AzureTable(location)
    from shroff.collect.sql_table import SqlTable

    if location.scheme == "sqlite":
        from shroff.collect.sqlite import SqliteFile

        return SqlTable(location, SqliteFile(location))
    from shroff.collect.postgresql import PostgreSql

    return SqlTable(location, PostgreSql(location))


def _messages(location: Location, schema: Schema | None) -> Remote:
    from shroff.collect.iso8583 import CardMessages
    from shroff.collect.iso20022 import CreditTransfers

    if schema is not None:
        for mapping in schema.messages:
            if isinstance(mapping, Iso20022) and location.scheme == "iso20022":
                return CreditTransfers(location, mapping, schema)
            if isinstance(mapping, Iso8583) and location.scheme == "iso8583":
                return CardMessages(location, mapping, schema)
    kind = "Iso20022" if location.scheme == "iso20022" else "Iso8583"
    raise ConfigurationError(
        f"{location}: expected a schema that says which field of a message is which column: "
        f"Schema(messages=[{kind}({{…}})]); `shroff collect` then makes a table of them."
    )
