"""Connections to PostgreSQL that give up, and only those that waited too long."""

from __future__ import annotations

import logging
from threading import Thread

import psycopg
import pytest
from sqlalchemy import make_url

from shroff.database.timeouts import Impatient


@pytest.fixture
def uri(postgres_server: str) -> str:
    return (
        make_url(postgres_server).set(drivername="postgresql").render_as_string(hide_password=False)
    )


def test_who_waits_too_long_is_hung_up_for_and_nobody_else(uri: str) -> None:
    with (
        Impatient.connect(uri, autocommit=True) as patient,
        Impatient.connect(uri, autocommit=True) as hasty,
    ):
        hasty.patience = 3.0
        slept = Thread(target=patient.execute, args=("SELECT pg_sleep(4)",))
        slept.start()
        # each answer begins the time anew: all of them together take longer than any may
        for _ in range(5):
            assert hasty.execute("SELECT pg_sleep(0.8), 1").fetchone() == ("", 1)
        with pytest.raises(psycopg.OperationalError):
            hasty.execute("SELECT pg_sleep(60)")
        assert hasty.broken
        slept.join()
        assert patient.execute("SELECT 1").fetchone() == (1,)


def test_the_driver_does_not_log_what_fails_after_a_failure() -> None:
    """`error ignored terminating …` would stand in the log beside what is raised and said."""
    assert not logging.getLogger("psycopg").isEnabledFor(logging.WARNING)
