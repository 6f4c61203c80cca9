"""Vectors of tokens: the counts against a slow oracle, the same file whatever the order, and what
is near what.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Entity, Schema
from shroff.embed import Vectors, learn, read_vectors
from shroff.embed.counts import occurrences, pairs, vocabulary
from shroff.embed.learned import Lesson, TokenVectors
from shroff.errors import BadFile, ConfigurationError, DataError, NotFound, UnknownColumn

SCHEMA = Schema(
    id="id", time="at", amount="eur", nominal=["mcc"], personal=["email"], keys=["card_id", "shop"]
)
CARD = Entity("card", "card_id")
START = datetime(2024, 1, 1, tzinfo=UTC)
SHOPS = Vectors(
    name="shops", entity=CARD, tokens=["mcc", "shop"], window="1h", reach=2, dimensions=3, least=1
)

payment = st.tuples(
    st.integers(0, 300),
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["1", "2", None]),
    st.sampled_from("xyz"),
)
logs = st.lists(payment, min_size=1, max_size=30)
Row = tuple[int, str | None, str | None, str]


def log(rows: list[Row]) -> pl.DataFrame:
    columns = {
        "id": [f"p{at:03}" for at in range(len(rows))],
        "at": [START + timedelta(minutes=row[0]) for row in rows],
        "eur": [1_000] * len(rows),
        "card_id": [row[1] for row in rows],
        "mcc": [row[2] for row in rows],
        "shop": [row[3] for row in rows],
    }
    kinds: dict[str, pl.DataType | type[pl.DataType]] = {
        "at": pl.Datetime("us", "UTC"),
        "card_id": pl.String,
        "mcc": pl.String,
    }
    return pl.DataFrame(columns, schema_overrides=kinds)


def town(payments: int = 2_000) -> pl.DataFrame:
    """Cards that buy food (1–4) and cards that travel (5–8), each in any of their four
    categories.
    """
    random = np.random.default_rng(1)
    cards = random.integers(0, 100, payments)
    mccs = random.integers(1, 5, payments) + 4 * (cards % 2)
    rows: list[Row] = [
        (at, f"c{card}", str(mcc), "x")
        for at, (card, mcc) in enumerate(zip(cards, mccs, strict=True))
    ]
    return log(rows)


TOWN = Vectors(name="town", entity=CARD, tokens=["mcc"], window="7d", dimensions=4)


@settings(deadline=None, max_examples=60)
@given(logs)
def test_pairs_are_those_that_the_definition_names(rows: list[Row]) -> None:
    frame = log(rows)
    known = vocabulary(SHOPS, occurrences(SHOPS, SCHEMA, frame))
    places = {token: at for at, token in enumerate(zip(known.columns, known.texts, strict=True))}
    expected = np.zeros((len(places), len(places)), np.int64)
    ordered = sorted(range(len(rows)), key=lambda at: (rows[at][0], at))
    for card in {row[1] for row in rows} - {None}:
        mine = [rows[at] for at in ordered if rows[at][1] == card]
        for i, one in enumerate(mine):
            for j, other in enumerate(mine):
                if abs(i - j) > SHOPS.reach or abs(one[0] - other[0]) >= 60:
                    continue
                for a in (("mcc", one[2]), ("shop", one[3])):
                    for b in (("mcc", other[2]), ("shop", other[3])):
                        if a[1] is not None and b[1] is not None and not (i == j and a[0] == b[0]):
                            expected[places[a[0], str(a[1])], places[b[0], str(b[1])]] += 1
    assert np.array_equal(pairs(SHOPS, SCHEMA, frame, known), expected)


@settings(deadline=None, max_examples=30)
@given(logs)
def test_counts_of_cards_add_up_in_any_order(rows: list[Row]) -> None:
    frame = log(rows)
    known = vocabulary(SHOPS, occurrences(SHOPS, SCHEMA, frame))
    whole = pairs(SHOPS, SCHEMA, frame, known)
    parts = [
        pairs(SHOPS, SCHEMA, frame.filter(pl.col("card_id") == card), known) for card in ("b", "a")
    ]
    assert np.array_equal(sum(parts), whole)
    assert np.array_equal(
        pairs(SHOPS, SCHEMA, frame.sample(fraction=1, shuffle=True, seed=3), known), whole
    )


def test_the_same_payments_give_the_same_file_in_any_order() -> None:
    frame = town()
    once = learn(TOWN, SCHEMA, frame)
    again = learn(TOWN, SCHEMA, frame.sample(fraction=1, shuffle=True, seed=7))
    assert once.content == again.content
    assert once.digest == again.digest


def test_the_number_of_threads_changes_nothing() -> None:
    script = (
        "import numpy as np\nfrom shroff.embed.factorise import factorise, ppmi\ncounts = "
        "np.random.default_rng(0).poisson(0.5, (90, 90))\nprint(factorise(ppmi(counts + counts.T, "
        "1.0), 16).tobytes().hex())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(found) == 1


def test_what_the_same_cards_buy_stands_together() -> None:
    found = learn(TOWN, SCHEMA, town())
    for mcc in "12345678":
        family = set("1234" if mcc in "1234" else "5678") - {mcc}
        assert {one.token for one in found.neighbours("mcc", mcc, 3)} == family


def test_skip_gram_is_there_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("gensim", reason="gensim is not installed")
    definition = msgspec.structs.replace(TOWN, method="sgns")
    found = learn(definition, SCHEMA, town())
    found.write(tmp_path / "town.arrow")
    assert read_vectors(tmp_path / "town.arrow").lesson.definition.method == "sgns"
    assert found.tokens == learn(TOWN, SCHEMA, town()).tokens
    alike = sum(one.token in "1234" for mcc in "1234" for one in found.neighbours("mcc", mcc, 3))
    assert alike >= 10
    with pytest.raises(ConfigurationError, match='method="ppmi" or method="sgns"'):
        Vectors(name="v", entity=CARD, tokens=["mcc"], method="cbow")  # type: ignore[arg-type]  # that is refused


def test_a_token_that_was_not_learned_is_zero() -> None:
    found = learn(TOWN, SCHEMA, town())
    assert found.vector("mcc", "9999") == found.vector("mcc", None) == (0, 0, 0, 0)
    assert any(found.vector("mcc", "1"))
    assert np.abs(found.vectors.astype(int)).max() == 32_767


def test_payments_from_the_cut_on_change_nothing() -> None:
    frame = town()
    cut = START + timedelta(minutes=1_000)
    micros = int(cut.timestamp()) * 1_000_000
    later = frame.with_columns(
        mcc=pl.when(pl.col("at") < cut).then("mcc").otherwise(pl.lit("6011"))
    )
    found = learn(TOWN, SCHEMA, frame, before=micros)
    assert found.content == learn(TOWN, SCHEMA, later, before=micros).content
    assert (found.lesson.payments, found.lesson.before) == (1_000, micros)
    assert found.lesson.latest < micros


def test_a_payment_that_arrived_after_the_cut_does_not_count() -> None:
    schema = Schema(
        id="id", time="at", amount="eur", nominal=["mcc"], keys=["card_id"], arrived_at="seen"
    )
    frame = town().with_columns(seen=pl.col("at") + pl.duration(minutes=500))
    micros = int((START + timedelta(minutes=1_000)).timestamp()) * 1_000_000
    assert learn(TOWN, schema, frame, before=micros).lesson.payments == 500


def test_amounts_and_times_are_tokens_by_band() -> None:
    frame = town().with_columns(eur=pl.Series([50, 100, 1_999, 2_000] * 500))
    bands = Vectors(name="bands", entity=CARD, tokens=["eur", "at"], dimensions=2)
    found = learn(bands, SCHEMA, frame)
    assert set(found.tokens) == {
        *(("eur", band) for band in ("<1", "1-2", "10-20", "20-50")),
        *(("at", part) for part in ("night", "morning", "afternoon", "evening")),
    }
    assert set(found.occurrences[:4]) != {500}  # of times: 2,000 minutes are no whole days
    assert found.occurrences[4:] == (500,) * 4


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = learn(TOWN, SCHEMA, town())
    found.write(tmp_path / "town.arrow")
    read = read_vectors(tmp_path / "town.arrow")
    assert (read.lesson, read.tokens, read.digest) == (found.lesson, found.tokens, found.digest)
    assert np.array_equal(read.vectors, found.vectors)


@pytest.mark.parametrize("damage", ["cut", "other", "flip", "table"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "town.arrow"
    content = learn(TOWN, SCHEMA, town()).content
    if damage == "table":
        pl.DataFrame({"a": [1]}).write_ipc(path)
    else:
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "other": b"hello",
                "flip": content[:-9] + b"X" * 9,
            }[damage]
        )
    with pytest.raises(BadFile):
        read_vectors(path)


@pytest.mark.parametrize(
    ("tokens", "occurrences", "sentence"),
    [
        ((("mc", "1"),), (5,), "expected tokens of the columns of its definition, got others."),
        ((("mcc", "1"), ("mcc", "1")), (5, 5), "expected each token once"),
        ((("mcc", "pay 4111111111111111"),), (5,), "of column `mcc` hold card numbers"),
        ((("mcc", "1"),), (0,), "expected each token once, with how often it occurred."),
    ],
)
def test_a_file_of_other_tokens_is_refused(
    tmp_path: Path, tokens: tuple[tuple[str, str], ...], occurrences: tuple[int, ...], sentence: str
) -> None:
    lesson = Lesson(definition=SHOPS, payments=9, pairs=9, latest=9)
    vectors = np.ones((len(tokens), SHOPS.dimensions), np.int16)
    TokenVectors(lesson, tokens, occurrences, vectors).write(tmp_path / "shops.arrow")
    with pytest.raises(BadFile, match=sentence):
        read_vectors(tmp_path / "shops.arrow")


def test_what_does_not_fit_is_refused() -> None:
    frame = town(20)
    with pytest.raises(UnknownColumn, match="did you mean `mcc`"):
        learn(Vectors(name="v", entity=CARD, tokens=["mc"]), SCHEMA, frame)
    with pytest.raises(ConfigurationError, match="is personal"):
        learn(Vectors(name="v", entity=CARD, tokens=["email"]), SCHEMA, frame)
    with pytest.raises(DataError, match="found none"):
        learn(Vectors(name="v", entity=CARD, tokens=["mcc"], least=100), SCHEMA, frame)
    with pytest.raises(ConfigurationError, match="each once"):
        Vectors(name="v", entity=CARD, tokens=["mcc", "mcc"])
    with pytest.raises(NotFound):
        learn(TOWN, SCHEMA, town()).neighbours("mcc", "9999")
