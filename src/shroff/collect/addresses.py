"""Which source reads a table that is no file."""

from __future__ import annotations

from shroff.collect.remote import Remote
from shroff.location import Location


def remote_table(location: Location) -> Remote:
    """The table at a location that is no file.

    Raises:
        ConfigurationError: the location lacks something.
        BadFile: there is no such table.
    """
    # each is imported when it is asked for: sqlglot alone takes as long as all of `collect`
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
