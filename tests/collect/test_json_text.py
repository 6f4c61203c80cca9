"""JSON texts as senders write them: keys that come twice, byte order marks, NaN."""

from __future__ import annotations

import json
import math
import re
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shroff.collect.json_text import BOM, lenient, require_keys_once, unreadable
from shroff.errors import BadPayment

KEYS = st.sampled_from(["a", "b", "é", '"', "\\", "a:", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


class Object(list[tuple[str, Any]]):
    """An object as it is written: a key may come twice."""


DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(Object)
    ),
    max_leaves=12,
)


def written(value: Any, escape: bool) -> str:
    if isinstance(value, Object):
        pairs = (f"{name(key, escape)} :{written(one, escape)}" for key, one in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(one, escape) for one in value) + "]"
    return json.dumps(value)


def name(key: str, escape: bool) -> str:
    return (
        '"' + "".join(f"\\u{ord(letter):04x}" for letter in key) + '"'
        if escape
        else json.dumps(key)
    )


def repeats(value: Any) -> bool:
    if isinstance(value, Object):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(repeats(one) for _, one in value)
    return isinstance(value, list) and any(repeats(one) for one in value)


@given(DOCUMENTS, st.booleans(), st.booleans())
def test_a_key_twice_is_refused_wherever_it_is_and_however_it_is_written(
    document: Any, escape: bool, mark: bool
) -> None:
    text = (BOM if mark else b"") + written(document, escape).encode()
    if repeats(document):
        with pytest.raises(BadPayment, match="each key once"):
            require_keys_once(text)
    else:
        require_keys_once(text)


def test_what_is_nested_too_deeply_for_the_search_is_refused() -> None:
    with pytest.raises(BadPayment, match="nested too deeply"):
        require_keys_once(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)


def test_a_key_that_may_be_a_value_is_not_repeated() -> None:
    with pytest.raises(BadPayment, match="got one twice"):
        require_keys_once(b'{"4111 1111 1111 1111": 1, "4111 1111 1111 1111": 2}')


@given(st.lists(st.floats() | st.text(alphabet='N a"\\Infity:[]{}', max_size=12), max_size=8))
@example(["NaN", math.nan, "\\", "NaN", '"', math.nan])
def test_a_bare_nan_is_missing_and_the_rest_stays(values: list[float | str]) -> None:
    text = json.dumps(values).encode()
    wanted = [None if value != value else value for value in values]
    if any(value in (math.inf, -math.inf) for value in values):
        with pytest.raises(msgspec.DecodeError) as caught:
            lenient(msgspec.json.decode, text, nan_is_null=True)
        assert str(unreadable(caught.value, text)).startswith("Infinity is not JSON")
    else:
        assert lenient(msgspec.json.decode, text, nan_is_null=True) == wanted


@pytest.mark.parametrize(
    "text", [b"NaN NaN", b"-NaN", b"[1NaN]", b"{NaN: 1}", b'["NaN]', b"[NaNs]", b"NaN,"]
)
def test_what_is_no_json_either_way_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        lenient(msgspec.json.decode, text, nan_is_null=True)


def test_one_byte_order_mark_is_skipped() -> None:
    assert lenient(msgspec.json.decode, BOM + b'{"a": 1}') == {"a": 1}
    with pytest.raises(msgspec.DecodeError):
        lenient(msgspec.json.decode, BOM + BOM + b'{"a": 1}')


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"a": NaN}', "NaN is not JSON: send null"),
        (b'{"a": "NaN", "b": -Infinity}', "Infinity is not JSON: send a finite number"),
        (b'{"a": "NaN", "b": SECRET}', r"invalid character \(byte 18\)"),
        (b'{"a": "Infinity', "truncated"),
        ('{"a": 1}'.encode("utf-16"), "in UTF-8, got UTF-16"),
    ],
)
def test_the_reason_of_the_decoder_is_passed_on_without_a_value(text: bytes, sentence: str) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(text)
    told = str(unreadable(caught.value, text))
    assert re.search(sentence, told)
    assert "SECRET" not in told


@pytest.mark.parametrize(
    "text",
    [
        b'"\\"' * 300_000 + b"NaN",
        b'"' * 1_000_000 + b"NaN",
        b"\\" * 1_000_000 + b"NaN",
        b'"' + b"\\" * 1_000_001 + b"NaN",
    ],
    ids=range(4),
)
def test_no_text_takes_long(text: bytes) -> None:
    began = process_time()
    with pytest.raises(msgspec.DecodeError):
        lenient(msgspec.json.decode, text, nan_is_null=True)
    unreadable(msgspec.DecodeError("no JSON"), text)
    assert process_time() - began < 10, "the time grows with the square of the length"
