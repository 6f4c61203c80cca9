"""Vectors by somebody who wants to harm the machine: refused in one sentence, before the file is
decoded.
"""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shroff import Entity
from shroff.embed import Vectors, read_vectors
from shroff.embed.arrow_file import ArrowBatch, arrow_batch
from shroff.embed.learned import Lesson, TokenVectors, parse_vectors
from shroff.errors import BadFile

DEFINITION = Vectors(name="town", entity=Entity("card", "card_id"), tokens=["mcc"], dimensions=4)
TOKENS = tuple(("mcc", f"{code}, a name that is longer than a view") for code in range(5))
SOUND = TokenVectors(
    Lesson(definition=DEFINITION, payments=9, pairs=9, latest=0),
    TOKENS,
    (3,) * len(TOKENS),
    np.arange(20, dtype=np.int16).reshape(5, 4),
).content


def rows(count: int) -> pl.DataFrame:
    """Many rows of nothing, which compress well."""
    return pl.read_ipc(io.BytesIO(SOUND)).head(1).select(pl.all().repeat_by(count).explode())


def written(frame: pl.DataFrame, **how: Any) -> bytes:
    file = io.BytesIO()
    frame.write_ipc(file, **{"compression": "uncompressed"} | how)
    return file.getvalue()


def test_the_batch_of_a_file_is_known_before_it_is_decoded() -> None:
    assert arrow_batch(SOUND) == ArrowBatch(5, compressed=False)
    assert arrow_batch(written(rows(5_000))).rows == 5_000
    assert arrow_batch(written(rows(9), compression="zstd")) == ArrowBatch(9, compressed=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: written(rows(1_000_000), compression="zstd"), "damaged or something else"),
        (lambda: written(rows(100_000), compression="zstd"), "without compression"),
        (lambda: written(rows(9), compression="lz4"), "without compression"),
        (lambda: written(rows(4_097)), "expected 1 to 4,096 tokens, got 4,097"),
        (lambda: written(rows(0)), "damaged or something else"),
        (lambda: written(rows(9), record_batch_size=3), "damaged or something else"),
        (lambda: written(rows(2).with_columns(settings=7)), "found others"),
        (lambda: written(rows(2).with_columns(settings=None)), "found others"),
        (lambda: b"ARROW1", "damaged or something else"),
    ],
)
def test_what_takes_more_than_it_is_worth_is_refused(
    content: Callable[[], bytes], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "vectors.arrow").write_bytes(content())
    with pytest.raises(BadFile, match=sentence):
        read_vectors(tmp_path / "vectors.arrow")


def test_rows_that_share_one_long_text_are_refused() -> None:
    """Arrow lets every row refer to the same bytes: 4,000 rows of a megabyte in one megabyte."""
    texts = pl.Series(["x" * 1_000_000, *["y"] * 3_999])
    content = bytearray(written(rows(4_000).with_columns(token=texts)))
    view = struct.pack("<i4sii", 1_000_000, b"xxxx", 0, 0)
    place = content.index(view)
    content[place : place + 4_000 * len(view)] = view * 4_000
    tracemalloc.start()
    with pytest.raises(BadFile, match="expected a column, a token"):
        parse_vectors(bytes(content), "vectors.arrow")
    assert tracemalloc.get_traced_memory()[1] < 64_000_000
    tracemalloc.stop()


def test_no_number_of_a_file_makes_the_library_panic(capfd: pytest.CaptureFixture[str]) -> None:
    drawn = random.Random(12)
    for _ in range(3_000):
        changed, place = bytearray(SOUND), drawn.randrange(8, len(SOUND) - 8)
        form = drawn.choice(["<b", "<h", "<i", "<q"])
        struct.pack_into(form, changed, place, drawn.choice([-1, -128, 127, 64, 6, 0]))
        # one with another vector or text is sound
        with suppress(BadFile):
            parse_vectors(bytes(changed), "vectors.arrow")
    assert capfd.readouterr().err == ""
