"""Documents to send as payments: deep, wide, huge, of wrong characters, and none at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from benchmarks.fuzz.draft import MANY, Draft
from benchmarks.fuzz.watch import CANARY

LIMIT: Final = 1_000_000
"""Bytes of the largest document: a service takes 1 MiB."""
_NUMBERS: Final = (
    "1e400", "-1e400", "1e-400", "1e999999999", "1E+99999999999999999999", "-0", "-0.0", "00", "01",
    ".5", "5.", "+5", "0x5", "NaN", "Infinity", "-Infinity", "1_000", "9" * 400, "9" * 5_000,
    "0." + "0" * 5_000 + "1", "1" + "0" * 5_000 + "e-5000", "1e14", "1e15", "9007199254740993",
    "92233720368547758.08", "18446744073709551616", "-1", "0", "0.00001", "true", "null", '"5"',
    '"1e400"', "[]",
)  # fmt: skip
_TEXTS: Final = (
    '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\x00"', '"\\u202e"', '"\\ufeff"', '"\\x"',
    '"\\u12"', '"', '"' + "a" * 100_000 + '"', '"\\n\\r"', '"\u2028"', '"' + "é" * 50_000 + '"',
    '"' + "\\ud83d\\ude00" * 9_000 + '"', '"4111111111111111"', '"' + " " * 90_000 + '"',
)  # fmt: skip
TIMES: Final = (
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:60Z", "10000-01-01T00:00:00Z", "-1", "1e18", "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00." + "0" * 9_000 + "Z", "now", "", "2026-01-01",
    "2262-04-11T23:47:16.854775808Z", "1969-12-31T23:59:59Z", "2026-W01-1", "٢٠٢٦-01-01T00:00:00Z",
)  # fmt: skip


def nesting(draft: Draft) -> bytes:
    """Arrays and objects in one another, closed or not."""
    depth = draft.one(*MANY, 100_000)
    opened, closed = draft.one(("[", "]"), ('{"a":', "}"), ('[{"payment_id":', "}]"))
    depth = min(depth, LIMIT // (len(opened) + len(closed)))
    inner = opened * depth + "1" + closed * draft.one(depth, depth, depth - 1, 0)
    field = draft.one("payment_id", "amount", "created_at", "x")
    whole: str = draft.one(inner, f'{{"{field}": {inner}}}')
    return whole.encode()


def numbers(draft: Draft) -> bytes:
    """Numbers that are huge, tiny, none, or between what machines can hold."""
    return _spoilt(
        draft,
        draft.one("amount", "items", "amount", "payment_id", "created_at"),
        draft.one(*_NUMBERS),
    )


def texts(draft: Draft) -> bytes:
    """Texts of half characters, ones that nobody sees, and very long ones."""
    return _spoilt(draft, draft.one(*draft.payment()), draft.one(*_TEXTS))


def digits(draft: Draft) -> bytes:
    """Very many digits, and what reads like the beginning of a number, a time or a card for a long
    while.
    """
    count = draft.one(100, 10_000, 100_000, 900_000)
    unit = draft.one(
        "4",
        "0",
        "1-",
        "1 ",
        "1.",
        "1,",
        "2026-",
        "4111 1111 1111 1111 ",
        "+",
        "T00:",
        "e1",
        "'1",
        "１",
    )
    text = (unit * (count // len(unit.encode()) + 1))[: count // len(unit[0].encode())]
    return _spoilt(
        draft,
        draft.one(*draft.payment()),
        json.dumps(text + draft.one("", "x", "!"), ensure_ascii=False),
    )


def times(draft: Draft) -> bytes:
    """Times of other centuries, and ones that no calendar has."""
    return _spoilt(draft, "created_at", json.dumps(draft.one(*TIMES)))


def keys(draft: Draft) -> bytes:
    """Objects of very many keys, of one key twice, of keys that nobody knows."""
    count = draft.one(*MANY, 30_000)
    more = draft.one(
        {f"k{at}": at for at in range(count)}, {"k" * count: 1}, {"": 1}, {"unknown": {"x": CANARY}}
    )
    body = draft.body(**more)
    if draft.random.random() < 0.3:
        body = b"{" + b'"amount": 5,' * count + body[1:]
    return body[:LIMIT]


def bytes_(draft: Draft) -> bytes:
    """Bytes that are no UTF-8, cut documents, documents of another encoding, nothing."""
    good = draft.body()
    at = draft.random.randrange(len(good))
    document: bytes = draft.one(
        good[:at],
        good[:at] + draft.noise(9) + good[at:],
        good.decode().encode("utf-16"),
        b"\xef\xbb\xbf" * draft.one(1, 2, 9) + good,
        b"",
        b" " * 100_000,
        good * draft.one(2, 9),
        draft.noise(5_000),
        b"\x00" * 5_000,
    )
    return document


def _spoilt(draft: Draft, field: str, value: str) -> bytes:
    """A good payment with another text of JSON in the place of one value."""
    marked = draft.body(**{field: "THE PLACE"}).decode()
    return marked.replace('"THE PLACE"', value).encode("utf-8", "surrogatepass")


KINDS: Final[dict[str, Callable[[Draft], bytes]]] = {
    "nesting": nesting,
    "number": numbers,
    "text": texts,
    "digits": digits,
    "time": times,
    "keys": keys,
    "bytes": bytes_,
}
