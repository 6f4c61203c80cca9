"""Connections that stay open: used again, replaced when lost, and never shared with a fork."""

from __future__ import annotations

import gc
import os

import pytest
from sqlalchemy import text

from servers import or_skip, postgres_schema, stoppable_postgres
from shroff.control.database import Control
from shroff.errors import ControlUnavailable


def session(control: Control) -> int:
    """The server's process that answers."""
    with control.transaction("ask") as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def test_a_connection_is_used_again_and_closed_with_its_last_user(postgres_server: str) -> None:
    with postgres_schema(postgres_server) as url:
        first, second = Control(url), Control(url)
        used = session(first)
        assert session(first) == session(second) == used
        del first, second
        gc.collect()
        assert session(Control(url)) != used


def test_a_fork_connects_anew_and_leaves_the_parent_its_session(postgres_server: str) -> None:
    with postgres_schema(postgres_server) as url:
        control = Control(url)
        used = session(control)
        child = os.fork()
        if child == 0:
            # what goes wrong in the child is its exit code: it must not end as a second pytest
            os._exit(0 if session(control) not in (0, used) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert session(control) == used


def test_a_server_that_was_away_is_connected_to_again() -> None:
    with or_skip(stoppable_postgres(), "PostgreSQL") as server:
        control = Control(server.url)
        used = session(control)
        server.stop()
        with pytest.raises(ControlUnavailable, match="cannot ask"):
            session(control)
        server.start()
        assert session(control) != used
        # one that keeps its connections and says nothing
        server.suspend()
        try:
            with pytest.raises(ControlUnavailable, match="cannot ask"):
                session(control)
        finally:
            server.resume()
        assert session(control)
