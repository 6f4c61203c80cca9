"""Which conditions compare a personal column with a text in the open."""

from __future__ import annotations

import pytest

from shroff.collect.schema import Kind
from shroff.decide.hashed import require_hashed
from shroff.errors import InvalidExpression
from shroff.expression import parse

KINDS: dict[str, Kind] = {"email": "text", "mcc": "text"}
TOKEN = "0f" * 32


@pytest.mark.parametrize(
    "condition",
    [
        "email <> 'ada@example.org'",
        "'ada@example.org' = email",
        f"email IN ('{TOKEN}', 'ada@example.org')",
        "SUBSTRING(email, 1, 3) = 'ada'",
        "LOWER(email) = LOWER('ADA@example.org')",
        "email = CONCAT('ada', '@example.org')",
        "CASE WHEN email = 'ada@example.org' THEN 1 ELSE 0 END = 1",
    ],
)
def test_a_text_in_the_open_is_refused(condition: str) -> None:
    with pytest.raises(InvalidExpression, match="the personal column `email` holds keyed hashes"):
        require_hashed(parse(condition, KINDS), ["email"])


@pytest.mark.parametrize(
    "condition",
    ["email = mcc", "email IS NULL", "email = ''", f"email = LOWER('{TOKEN}')",
     "CONCAT(email, '|', mcc) = mcc", "mcc = 'ada'"],
)  # fmt: skip
def test_what_may_equal_a_hash_is_not(condition: str) -> None:
    require_hashed(parse(condition, KINDS), ["email"])
