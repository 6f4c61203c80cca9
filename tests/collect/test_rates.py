"""Exchange rates: what a table of them may say, and how it is read from a file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shroff import Rate, Rates
from shroff.errors import BadFile, ConfigurationError


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0.00625", "0.00625"),
        ("6.25e-3", "0.00625"),
        ("160", "160"),
        ("1.10", "1.1"),
        (" 2 ", "2"),
        ("1E+3", "1000"),
    ],
)
def test_a_rate_has_one_text(written: str, text: str) -> None:
    assert Rate("USD", written).rate == text


@pytest.mark.parametrize("code", ["JPY", "jpy", "392", " JPY "])
def test_a_currency_has_one_code(code: str) -> None:
    assert Rate(code, "1").currency == "JPY"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("EURO", "1"), "ISO 4217"),
        (("JPY", "0"), "above 0"),
        (("JPY", "-1"), "above 0"),
        (("JPY", "1,5"), "above 0"),
        (("JPY", "1_0"), "above 0"),
        (("JPY", "\uff11"), "above 0"),
        (("JPY", "nan"), "above 0"),
        (("JPY", "Infinity"), "above 0"),
        (("JPY", 0.00625), "written as text"),
        (("JPY", "1" * 19), "18 digits"),
        (("JPY", "1e999999999999"), "18 digits"),
        (("JPY", "1e-999999999999"), "18 digits"),
        (("JPY", "0." + "0" * 18 + "1"), "18 digits"),
        (("JPY", "1", "yesterday"), "2024-01-31"),
        (("JPY", "1", "2024-01-31T00:00:00"), "with its zone"),
        (("JPY", "1", "1969-12-31"), "1970"),
        (("JPY", "1", "2024-01-02", "2024-01-02"), "after"),
    ],
)
def test_what_is_no_rate_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Rate(*arguments)


def test_moments_are_kept_in_utc() -> None:
    rate = Rate("JPY", "1", "2024-01-01T00:00:00+09:00", "2024-02-01")
    assert (rate.since, rate.until) == ("2023-12-31T15:00:00Z", "2024-02-01T00:00:00Z")
    assert rate.end - rate.start == (31 * 24 + 9) * 3_600_000_000


@pytest.mark.parametrize(
    "rates",
    [
        [Rate("JPY", "1"), Rate("392", "2")],
        [Rate("JPY", "1", "2024-01-01", "2024-03-01"), Rate("JPY", "2", "2024-02-01")],
    ],
    ids=["the same moment", "overlapping"],
)
def test_a_currency_has_one_rate_at_a_time(rates: list[Rate]) -> None:
    with pytest.raises(ConfigurationError, match="one at a time"):
        Rates("EUR", rates)


def test_the_base_has_no_rate() -> None:
    with pytest.raises(ConfigurationError, match="base, EUR"):
        Rates("EUR", [Rate("978", "1")])


def test_the_mark_names_the_table_whatever_its_order() -> None:
    one, other = Rate("JPY", "0.00625", "2024-01-01"), Rate("USD", "0.91")
    assert Rates("EUR", [one, other]).mark == Rates("eur", [other, one]).mark
    assert Rates("EUR", [one]).mark != Rates("EUR", [other]).mark
    assert Rates("EUR", [one]).mark.startswith("EUR ")


def test_rates_survive_json() -> None:
    rates = Rates("EUR", [Rate("JPY", "0.00625", "2024-01-01", "2025-01-01"), Rate("USD", "0.91")])
    assert msgspec.json.decode(msgspec.json.encode(rates), type=Rates) == rates


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "rates.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_file_of_rates(tmp_path: Path, separator: str) -> None:
    text = (
        "\ufeffcurrency, rate, since, until\r\nJPY,0.00625,2024-01-01,2025-01-01\r\nUSD,0.91,,\r\n"
    )
    assert Rates.read(written(tmp_path, text.replace(",", separator))) == Rates(
        "EUR", [Rate("JPY", "0.00625", "2024-01-01", "2025-01-01"), Rate("USD", "0.91")]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("currency:rate:since\nJPY:1:2024-01-01\n", "column `currency`"),
        ("currency,rat,since\nJPY,1,2024-01-01\n", "did you mean `rat`"),
        (
            "currency,rate,since\nJPY,1,2024-01-01\nUSD,a lot,2024-01-01\n",
            "line 3: the rate of USD",
        ),
        ("currency,rate,since\nJPY\n", "line 2: the rate of JPY"),
        ("currency,rate,since\nJPY,1,2024-01-01\nJPY,2,2024-01-01\n", "one at a time"),
        (b"\xff\xfe", "cannot read it"),
        ("", "column `currency`"),
        ("currency,rate,since\n", "without rows"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words) as refused:
        Rates.read(written(tmp_path, text))
    assert "a lot" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        Rates.read(tmp_path / "none.csv")
