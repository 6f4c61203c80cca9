"""What Schemathesis is told about bodies that are no JSON document; it loads this file itself, see
`described.py`.

OpenAPI 3.1 can say of NDJSON only that it is text. To the fuzzer it is shown as what it is, a list
of payments and a list of answers, so that lines are made of payments, and each answered line is
checked.
"""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis import Case, DeserializationContext, HookContext, SerializationContext
from schemathesis.core.transport import Response

_NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Show NDJSON as lists."""
    operation = raw_schema["paths"]["/v1/decisions:batch"]["post"]
    payments = {"type": "array", "items": {"$ref": "#/components/schemas/Payment"}, "maxItems": 5}
    for sent in operation["requestBody"]["content"].values():
        sent["schema"] = payments
    for media in operation["responses"]["200"]["content"].values():
        media["schema"] = {"type": "array", "items": media["schema"]}


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Leave out wrong CSV: every text is some CSV, so none breaks the schema."""
    return case.media_type != "text/csv" or isinstance(case.body, str)


@schemathesis.serializer(*_NDJSON)
def write_lines(context: SerializationContext, value: object) -> bytes:
    """A list as lines; whatever else as one line."""
    values = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(one) for one in values).encode()


@schemathesis.serializer("text/csv")
def write_csv(context: SerializationContext, value: object) -> bytes:
    """Text as it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.deserializer(*_NDJSON)
def read_lines(context: DeserializationContext, response: Response) -> list[Any]:
    """A list of the lines."""
    return [json.loads(line) for line in response.content.splitlines()]
