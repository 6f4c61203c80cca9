"""Rules: how many conditions hold."""

from __future__ import annotations

import numpy as np
import pytest

from shroff.detect.checks import check_detector
from shroff.detect.rules import Rules
from shroff.errors import ConfigurationError, DataError, NotFitted


@pytest.mark.parametrize("count", [1, 3])
def test_it_keeps_the_contract(count: int) -> None:
    check_detector(Rules([f"x > {number}" for number in range(count)]))


def test_unknown_counts_as_not_holding() -> None:
    X = np.array([[1, 1, 1], [1, 0, np.nan], [np.nan, np.nan, np.nan]], dtype=np.float32)
    assert Rules(["a", "b", "c"]).fit(X).score(X).tolist() == [3, 1, 0]


def test_it_needs_no_labels() -> None:
    assert not Rules.needs_labels
    assert Rules(["a"]).conditions == ["a"]


def test_what_does_not_fit_the_conditions_is_refused() -> None:
    two = np.zeros((3, 2), dtype=np.float32)
    with pytest.raises(DataError, match="expected X with 1 columns, one a condition, got 2"):
        Rules(["a"]).fit(two)
    wrong: list[list[str] | str] = [[], "amount > 1"]
    for conditions in wrong:
        with pytest.raises(ConfigurationError, match="list of SQL conditions"):
            Rules(conditions).fit(two)
    with pytest.raises(NotFitted, match="Rules has not learned yet"):
        Rules(["a", "b"]).score(two)
