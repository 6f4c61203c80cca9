"""Skip-gram with negative sampling. This is the only file that imports gensim.

Mikolov, Sutskever, Chen, Corrado and Dean, Distributed Representations of Words and Phrases, 2013.
Its random draws depend on the order of threads and on the release of gensim, so the file is not
reproducible.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.collect import Schema
from shroff.embed.counts import Vocabulary
from shroff.embed.define import Vectors
from shroff.embed.factorise import whole
from shroff.errors import MissingExtra
from shroff.features.tokens import tokens
from shroff.features.window import micros

_EPOCHS = 5
_NEGATIVE_SAMPLES = 5


def skip_gram(
    vectors: Vectors, schema: Schema, frame: pl.DataFrame, known: Vocabulary
) -> NDArray[np.int16]:
    """A vector for each known token, from the histories of cards as sentences.

    A sentence ends where the next payment is at least the window later. It has the tokens of each
    payment in the order of the columns. Words are near if they are at most `reach` payments apart.

    Raises:
        MissingExtra: gensim is not installed.
    """
    try:
        from gensim.models import Word2Vec
    except ModuleNotFoundError as error:
        raise MissingExtra("method=\"sgns\" needs gensim: pip install 'shroff[sgns]'") from error
    places = {
        token: str(at) for at, token in enumerate(zip(known.columns, known.texts, strict=True))
    }
    model = Word2Vec(
        _sentences(vectors, schema, frame, places),
        vector_size=vectors.dimensions,
        window=vectors.reach * len(vectors.tokens),
        sg=1,
        negative=_NEGATIVE_SAMPLES,
        epochs=_EPOCHS,
        min_count=1,
        workers=1,
        seed=1,
    )
    found = np.zeros((len(places), vectors.dimensions))
    for at, word in enumerate(places.values()):
        # payments without a card are in no sentence
        if word in model.wv:
            found[at] = model.wv[word]
    return whole(found)


def _sentences(
    vectors: Vectors, schema: Schema, frame: pl.DataFrame, places: dict[tuple[str, str], str]
) -> list[list[str]]:
    keys = list(vectors.entity.key)
    history = frame.drop_nulls(keys).sort(*keys, schema.time, schema.id)
    late = pl.col(schema.time).diff().dt.total_microseconds() >= micros(vectors.window)
    starts = (
        history.select((pl.struct(keys).rle_id().diff() != 0) | late)
        .to_series()
        .fill_null(value=True)
        .to_numpy()
    )
    rows = history.select(tokens(vectors.tokens, schema)).rows()
    edges = [*np.flatnonzero(starts).tolist(), len(rows)]
    words = [
        [places[said] for said in zip(vectors.tokens, row, strict=True) if said in places]
        for row in rows
    ]
    return [[word for row in words[start:stop] for word in row] for start, stop in pairwise(edges)]
