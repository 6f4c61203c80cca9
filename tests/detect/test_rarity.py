"""Unusual values: numbers as they are, codes by how rare they are, on one side or both."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from detect.rows import NOMINAL, payments
from shroff.detect.graph import Graph
from shroff.detect.rarity import Rarity, Side
from shroff.errors import ConfigurationError


def test_rarer_codes_surprise_more_and_unseen_ones_most() -> None:
    X = np.repeat([1.0, 2.0, 3.0], [70, 25, 5])[:, None].astype(np.float32)
    (table,) = Rarity.learn(X, {0: 5}, side="both").surprises.values()
    assert table[1] < table[2] < table[3] < table[0]
    assert table[0] == table[4]
    values = Rarity.learn(X, {0: 5}, side="both").apply(X)
    assert values.mean() == pytest.approx(0.0, abs=1e-6)
    assert values.std() == pytest.approx(1.0, abs=1e-6)


def test_a_column_of_one_code_is_flat() -> None:
    X = np.ones((10, 1), np.float32)
    assert Rarity.learn(X, {0: 2}, side="both").apply(X).tolist() == [[0.0]] * 10


@pytest.mark.parametrize("side", ["both", "upper"])
def test_the_graph_gives_the_same_numbers(side: Side) -> None:
    X = payments()[0]
    rarity = Rarity.learn(X, NOMINAL, side=side)
    assert rarity.nominal == NOMINAL
    expected = rarity.apply(X)
    assert (expected.min() >= 0) == (side == "upper")
    for column in range(4):
        graph = Graph()
        one = graph.add("Gather", rarity.graph(graph), graph.constant(np.array([column])), axis=1)
        session = onnxruntime.InferenceSession(graph.model(one, columns=4).SerializeToString())
        (values,) = session.run(["score"], {"X": X})
        assert np.array_equal(values, expected[:, column].astype(np.float32))


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'both' or 'upper'"):
        Rarity.learn(payments()[0], NOMINAL, side="lower")  # type: ignore[arg-type]  # wrong on purpose
