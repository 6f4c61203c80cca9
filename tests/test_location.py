"""Where a table is: a URL is shown without its secrets, and of a text that is not written as URLs
are nothing is shown but its scheme.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.client import Client
from shroff.database import read_url
from shroff.errors import ConfigurationError, Unavailable
from shroff.loadtest import run_load
from shroff.location import Location, address
from shroff.store import FeatureStore

PASSWORDS = st.builds(
    "{}SECRET{}".format,
    *[st.text("1aé/@:?#[]%=&;,\\\"' \t\n\x1b\u200b", max_size=8) for _ in range(2)],
)
TABLES = (
    "postgresql://ada:{}@h/db?table=t",
    "postgresql:/ada:{}@h/db?table=t",
    "postgresql:ada:{}@h/db?table=t",
    " postgresql://ada:{}@h/db?table=t",
    "\u200bpostgres:/ada:{}@h/db",
    '"postgresql:/ada:{}@h/db',
    "POSTGRESQL:/ada:{}@h/db",
    "jdbc:postgresql://ada:{}@h/db",
    "mysql:/ada:{}@h/db",
    "postgresql://ada@h/db?table=t&password={}",
    "postgresql://host=h password={}",
    "host=h user=ada password={}",
    "sqlite://ada:{}@h/log.db?table=t",
    "azure-tables://bank:{}@h/log",
    "DefaultEndpointsProtocol=https;AccountName=bank;AccountKey={}",
    "delta:s3://KEY:{}@bucket/log",
    "delta:s3:/KEY:{}@bucket/log",
    "delta://KEY:{}@bucket/log",
    "s3://KEY:{}@bucket/log",
)


def shown(where: str) -> str:
    """What people see of a table, or why it is none."""
    try:
        return str(Location.of(where))
    except ConfigurationError as refused:
        return str(refused)


@pytest.mark.parametrize("form", TABLES)
@given(PASSWORDS)
def test_no_part_of_a_password_is_shown(form: str, password: str) -> None:
    where = form.format(password)
    assert "SECRET" not in shown(where)
    assert shown(where).isprintable()
    assert "SECRET" not in address(where)
    assert address(where).isprintable()


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        (
            "postgresql://ada:x%2Fy@db.bank:5432/log?table=t",
            "postgresql://ada@db.bank:5432/log?table=t",
        ),
        (
            "postgresql://[::1]:5432/log?key=id&sslmode=require",
            "postgresql://[::1]:5432/log?key=id",
        ),
        ("postgresql://%2Fvar%2Frun/log?table=t", "postgresql://%2Fvar%2Frun/log?table=t"),
        ("postgresql://us%0a%1ber:x@h/log?table=t", "postgresql://us%0a%1ber@h/log?table=t"),
        ("postgresql:///log?host=%2Ftmp&table=t%0a%1b", "postgresql:///log?table=t%0a%1b"),
        ("sqlite:////srv/my logs/a@b:c.db?table=my table", None),
        ("delta:/srv/my tables/t?version=3", None),
        ("delta:tables/t", None),
        ("delta:s3://bucket/day=2024-05-04/t", None),
        ("delta:s3://KEY:secret@bucket/t?version=3", "delta:s3://bucket/t?version=3"),
        ("delta:abfss://raw@bank.dfs.core.windows.net/t", None),
        ("azure-tables://bank/log", None),
        ("C:/logs/a@b.csv", None),
        ("logs/12:30@home.csv", None),
        ("log:2024.csv", None),
        ("log\x1b[2J.csv", "log\\x1b[2J.csv"),
    ],
)
def test_what_is_written_as_a_url_or_a_path_is_taken(where: str, seen: str | None) -> None:
    location = Location.of(where)
    assert (location.text, location.shown) == (where, seen or where)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("postgresql:/ada:pw@h/db", "got a text that is not a URL"),
        (" postgresql://h/db", "got `postgresql:`; known are postgresql, sqlite"),
        ("Postgres:/ada:pw@h/db", "got `Postgres:`: did you mean `postgresql`"),
        ("host=h password=pw", "got another text; known are"),
    ],
)
def test_what_is_no_url_is_refused_by_its_scheme(where: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Location.of(where)


@pytest.mark.parametrize(
    "url", ["postgresql://h:SECRET/db", "postgresql:/u:SECRET@h/db", "SECRET\x1b[2J://x"]
)
def test_a_database_url_that_does_not_parse_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="got a text that is not a URL") as refused:
        read_url(url, "a ledger URL")
    assert "SECRET" not in str(refused.value)


def test_no_address_of_a_service_is_shown_with_its_login() -> None:
    with pytest.raises(Unavailable, match=r"no answer from http://127\.0\.0\.1:9 within"):
        Client("http://ada:SECRET@127.0.0.1:9", retries=0).models()
    for url in ("ftp://ada:SECRET@h", "http://h:SECRET", "http://[SECRET"):
        with pytest.raises(ConfigurationError, match="expected the URL of a service") as refused:
            run_load(url, [])
        assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "root", ["s3://KEY:SECRET@bucket/x", "s3:/K:SECRET@b", "s3://b?key=SECRET"]
)
def test_a_store_has_no_login(root: str) -> None:
    with pytest.raises(ConfigurationError, match="without login and options") as refused:
        FeatureStore(root)
    assert "SECRET" not in str(refused.value)
