"""Search spaces fit the detectors that declare them."""

from __future__ import annotations

import pytest

import shroff.detect
from shroff.detect import Detector
from shroff.detect.space import Choice, Range
from shroff.errors import ConfigurationError

DETECTORS = [
    kind
    for name in shroff.detect.__all__
    if isinstance(kind := getattr(shroff.detect, name), type)
    and issubclass(kind, Detector)
    and kind.search_space
]


@pytest.mark.parametrize("kind", DETECTORS, ids=lambda kind: kind.__name__)
def test_a_space_names_parameters_and_holds_their_defaults(kind: type[Detector]) -> None:
    defaults = kind().get_params(deep=False)
    for name, values in kind.search_space.items():
        default = defaults[name]
        if isinstance(values, Choice):
            assert default in values.options
        elif default is not None:
            assert values.low <= default <= values.high


def test_what_is_no_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lower to a higher"):
        Range(low=2, high=2)
    with pytest.raises(ConfigurationError, match="start above 0"):
        Range(low=0.0, high=1.0, log=True)
    assert not Range(low=1, high=2.0).whole
