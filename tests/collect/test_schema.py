"""Schemas: what each column is, and definitions refused with the reason."""

from __future__ import annotations

import msgspec
import pytest

from shroff import Schema
from shroff.errors import ConfigurationError, UnknownColumn

FULL = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    result="result",
    arrived_at="seen_at",
    result_at="result_at",
    labelled_at="labelled_at",
    nominal=["mcc", "currency"],
    numeric=["age"],
    personal=["email"],
    ignored=["note"],
    keys=["card_id", "mcc"],
    required=["card_id", "host_id"],
)


def test_each_column_has_its_scale_in_table_order() -> None:
    assert FULL.scales == {
        "transaction_id": "id",
        "created_at": "time",
        "amount": "amount",
        "currency": "currency",
        "seen_at": "time",
        "result": "result",
        "result_at": "time",
        "is_fraud": "label",
        "labelled_at": "time",
        "mcc": "nominal",
        "age": "numeric",
        "email": "personal",
        "card_id": "key",
        "host_id": "key",
    }
    assert list(FULL.scales) == list(
        msgspec.json.decode(msgspec.json.encode(FULL), type=Schema).scales
    )


def test_kinds_of_values_in_conditions() -> None:
    kinds = FULL.kinds
    assert (kinds["amount"], kinds["age"], kinds["is_fraud"], kinds["seen_at"]) == (
        "number",
        "number",
        "boolean",
        "time",
    )
    assert {
        kinds[name] for name in ("transaction_id", "currency", "result", "mcc", "email", "card_id")
    } == {"text"}


def test_what_comes_later_is_known() -> None:
    assert FULL.later == {"result", "result_at", "is_fraud", "labelled_at"}
    assert Schema(id="id", time="at", amount="eur").later == frozenset()


def test_a_schema_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(FULL), type=Schema) == FULL
    assert hash(FULL) == hash(msgspec.json.decode(msgspec.json.encode(FULL), type=Schema))


def test_keys_are_added_once() -> None:
    more = FULL.with_keys(["card_id", "account_id", "account_id", "email"])
    assert more.keys == ("card_id", "mcc", "account_id")
    assert more.with_keys(["account_id"]) is more


def test_an_ignored_column_cannot_become_a_key() -> None:
    with pytest.raises(ConfigurationError, match="column `note` is ignored"):
        FULL.with_keys(["note"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"time": "id"}, "column `id` is both id and time: a column has one role."),
        ({"numeric": ["id"]}, "column `id` is both id and numeric: name it once."),
        (
            {"personal": ["x"], "nominal": ["x"]},
            "column `x` is both personal and nominal: name it once.",
        ),
        (
            {"nominal": "mcc"},
            "Schema(nominal=…): expected a list of column names, got one text: [`mcc`]?",
        ),
        ({"nominal": [""]}, "Schema(nominal=…): expected the name of a column, got an empty text."),
        ({"keys": [None]}, "Schema(keys=…): expected the name of a column, got NoneType."),
        ({"id": None}, "Schema(id=…): expected the name of a column, got NoneType."),
        (
            {"keys": ['a"b']},
            """Schema(keys=…): column 'a"b' has a quotation mark, a backslash """
            "or a control character, "
            "which no field of a live payment can have in its name; rename the column.",
        ),
        ({"label": 7}, "Schema(label=…): expected the name of a column, got int."),
        (
            {"result_at": "r"},
            "Schema(result_at=…) says when the result arrived: name it with result=… too.",
        ),
        (
            {"labelled_at": "l"},
            "Schema(labelled_at=…) says when the label arrived: name it with label=… too.",
        ),
        (
            {"default_currency": "EURO"},
            "Schema(default_currency=…): `EURO` is no ISO 4217 code: did you mean `EUR`?",
        ),
        ({"default_currency": "?"}, "Schema(default_currency=…): `?` is no ISO 4217 code."),
        ({"csv_dialect": "excel"}, "Schema(csv_dialect=…): expected one of rfc4180, spark, mysql."),
        (
            {"ignored": ["x"], "required": ["x"]},
            "column `x` is ignored, so it can be neither a key nor required.",
        ),
    ],
)
def test_a_definition_that_does_not_fit_is_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Schema(**{"id": "id", "time": "at", "amount": "amount", **changes})  # type: ignore[arg-type]
    assert str(refused.value) == sentence


@pytest.mark.parametrize("role", ["nominal", "numeric", "keys", "personal"])
def test_no_column_is_called_by_a_card_number(role: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the name of a column .* without a card number"):
        Schema(id="id", time="at", amount="eur", **{role: ["4111 1111 1111 1111"]})  # type: ignore[arg-type]  # a role each


def test_a_misspelt_required_column_is_refused() -> None:
    with pytest.raises(UnknownColumn, match=r"unknown column `ammount`: did you mean `amount`\?"):
        Schema(id="id", time="at", amount="amount", required=["ammount"])
    # unless it is said to be a column of its own
    assert (
        "ammount"
        in Schema(
            id="id", time="at", amount="amount", required=["ammount"], keys=["ammount"]
        ).scales
    )


@pytest.mark.parametrize(
    "zone", ["Europe", "localtime", "", "../etc/passwd", "europe/copenhagen", "CEST"]
)
def test_a_time_zone_must_be_one(zone: str) -> None:
    with pytest.raises(
        ConfigurationError, match="is no IANA time zone such as `Europe/Copenhagen`"
    ):
        Schema(id="id", time="at", amount="eur", timezone=zone)
