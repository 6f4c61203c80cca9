"""Learned vectors: an integer vector for each token, as one Arrow file."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from msgspec import structs
from numpy.typing import NDArray

from shroff.collect.card_columns import holds_card_numbers
from shroff.collect.sources import written_whole
from shroff.embed.arrow_file import arrow_batch
from shroff.embed.counts import MAX_TOKENS
from shroff.embed.define import Vectors
from shroff.errors import BadFile, ConfigurationError, NotFound, did_you_mean
from shroff.features.vectors import TokenTable
from shroff.plain import read_plain

MAX_BYTES: Final = 64 << 20
_COLUMNS: Final = ("column", "token", "occurrences", "vector", "settings")


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What vectors were learned from: their definition and payments, with times in microseconds."""

    definition: Vectors
    payments: int
    pairs: int
    latest: int
    """When the last payment happened or arrived."""
    before: int | None = None


class Neighbour(NamedTuple):
    """A token near another: its column and text, its count, and the cosine of both."""

    column: str
    token: str
    occurrences: int
    cosine: float


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """The vectors of tokens; `tokens` are in the order of the rows of `vectors`."""

    lesson: Lesson
    tokens: tuple[tuple[str, str], ...]
    occurrences: tuple[int, ...]
    vectors: NDArray[np.int16]

    @cached_property
    def content(self) -> bytes:
        """The bytes of the Arrow file, which repeats the lineage in every row."""
        dimensions = self.lesson.definition.dimensions
        frame = pl.DataFrame(
            {
                "column": [column for column, _ in self.tokens],
                "token": [text for _, text in self.tokens],
                "occurrences": pl.Series(self.occurrences, dtype=pl.Int64),
                "vector": pl.Series(self.vectors, dtype=pl.Array(pl.Int16, dimensions)),
                "settings": [msgspec.json.encode(self.lesson).decode()] * len(self.tokens),
            }
        )
        file = io.BytesIO()
        frame.rechunk().write_ipc(file, compression="uncompressed")
        return file.getvalue()

    @cached_property
    def table(self) -> TokenTable:
        """The table that features read."""
        definition = self.lesson.definition
        rows: dict[str, dict[str, tuple[int, ...]]] = {column: {} for column in definition.tokens}
        for (column, token), vector in zip(self.tokens, self.vectors.tolist(), strict=True):
            rows[column][token] = tuple(vector)
        return structs.replace(
            definition.table, vectors=rows, digest=self.digest, latest=self.lesson.latest
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            BadFile: it cannot be written.
        """
        with written_whole(path) as file:
            file.write(self.content)

    def vector(self, column: str, token: str | None) -> tuple[int, ...]:
        """A token's vector; zero for an unknown token or None."""
        place = None if token is None else self._places.get((column, token))
        return (
            (0,) * self.vectors.shape[1] if place is None else tuple(self.vectors[place].tolist())
        )

    def neighbours(self, column: str, token: str, many: int = 5) -> list[Neighbour]:
        """The tokens of the same column with the largest cosine, nearest first.

        Raises:
            NotFound: the token was not learned.
            ConfigurationError: the column has no tokens.
        """
        self.require_column(column)
        place = self._places.get((column, token))
        if place is None:
            raise NotFound(
                f"expected a token of `{column}` that was learned; this one is too rare or was "
                "never seen."
            )
        found = [
            Neighbour(column, text, self.occurrences[at], self.cosine(place, at))
            for at, (other, text) in enumerate(self.tokens)
            if other == column and at != place
        ]
        return sorted(found, key=lambda one: (-one.cosine, one.token))[:many]

    def require_column(self, column: str) -> None:
        """Check that tokens of a column were learned.

        Raises:
            ConfigurationError: none were.
        """
        columns = list(dict.fromkeys(name for name, _ in self.tokens))
        if column not in columns:
            there = f"; there are tokens of {', '.join(f'`{one}`' for one in columns)}."
            hint = did_you_mean(column, columns) or there
            raise ConfigurationError(f"no tokens of column `{column}` were learned{hint}")

    def cosine(self, one: int, other: int) -> float:
        """The cosine of two vectors, by their rows; 0 if one is zero."""
        return _cosine(self.vectors[one].astype(np.int64), self.vectors[other].astype(np.int64))

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {token: place for place, token in enumerate(self.tokens)}


def read_vectors(path: str | Path) -> TokenVectors:
    """The vectors in a file that `TokenVectors.write` wrote.

    Raises:
        BadFile: there is no such file, or it holds something else.
    """
    try:
        content = read_plain(Path(path), MAX_BYTES)
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file; `shroff embed train` writes one.") from None
    return parse_vectors(content, path)


def parse_vectors(content: bytes, path: str | Path) -> TokenVectors:
    """The vectors in the bytes of such a file; `path` names it in messages.

    Raises:
        BadFile: they are something else.
    """
    _require_plain(content, path)
    try:
        frame = pl.read_ipc(io.BytesIO(content))
        if tuple(frame.columns) != _COLUMNS or frame["settings"].dtype != pl.String:
            raise BadFile(
                f"{path}: expected vectors of tokens, as `shroff embed train` writes them; found "
                "others."
            )
        lesson = msgspec.json.decode(frame["settings"][0] or "", type=Lesson)
        wanted = [
            pl.String,
            pl.String,
            pl.Int64,
            pl.Array(pl.Int16, lesson.definition.dimensions),
            pl.String,
        ]
        # a hostile file may use the same bytes for many texts; files written here do not
        texts = frame.select(pl.col(pl.String).str.len_bytes().cast(pl.Int64).sum())
        unlike = frame.dtypes != wanted or any(frame.null_count().row(0))
        if unlike or sum(texts.row(0)) > len(content):
            raise BadFile(
                f"{path}: expected a column, a token, a count and a vector in every row; it is "
                "damaged."
            )
        found = TokenVectors(
            lesson,
            tuple(zip(frame["column"], frame["token"], strict=True)),
            tuple(frame["occurrences"]),
            frame["vector"].to_numpy(),
        )
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        msgspec.MsgspecError,
        ConfigurationError,
        OSError,
    ):
        raise _damaged(path) from None
    _require_sound(found, path)
    if found.content != content:
        raise BadFile(f"{path}: it is not as this release writes it; learn the vectors again.")
    return found


def _require_plain(content: bytes, path: str | Path) -> None:
    """Raise `BadFile` if decoding would need more memory than such a file can."""
    try:
        batch = arrow_batch(content)
    except ValueError:
        raise _damaged(path) from None
    if batch.compressed:
        raise BadFile(
            f"{path}: expected an Arrow file without compression, as `shroff embed train` writes "
            "it; got a compressed one."
        )
    if not 0 < batch.rows <= MAX_TOKENS:
        raise BadFile(f"{path}: expected 1 to {MAX_TOKENS:,} tokens, got {batch.rows:,}.")


def _require_sound(found: TokenVectors, path: str | Path) -> None:
    """Raise `BadFile` unless the tokens are those of the definition, each once."""
    columns = {column for column, _ in found.tokens}
    if not columns <= {*found.lesson.definition.tokens}:
        raise BadFile(f"{path}: expected tokens of the columns of its definition, got others.")
    if len(set(found.tokens)) < len(found.tokens) or min(found.occurrences) < 1:
        raise BadFile(f"{path}: expected each token once, with how often it occurred.")
    for name in columns:
        texts = pl.Series([text for column, text in found.tokens if column == name])
        if holds_card_numbers(texts):
            raise BadFile(f"{path}: the tokens of column `{name}` hold card numbers; none may.")


def _damaged(path: str | Path) -> BadFile:
    return BadFile(f"{path}: expected an Arrow file of vectors; it is damaged or something else.")


def _cosine(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    lengths = math.sqrt(int(one @ one)) * math.sqrt(int(other @ other))
    return int(one @ other) / lengths if lengths else 0.0
