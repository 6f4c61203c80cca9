"""The examples to copy: a decision, its result and its label, in four languages.

The code itself makes the payment's id and time, so it works whenever it runs. Each step continues
the one before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shroff.collect.payment import Value

KEY: Final = "YOUR_API_KEY"
"""Placeholder of the API key."""
LANGUAGES: Final = {"curl": "curl", "python": "Python", "r": "R", "csharp": "C#"}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_R_WORDS: Final = frozenset(
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA in".split()
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The steps in one language."""

    decision: str
    result: str
    label: str


def samples(payment: Mapping[str, Value], *, id: str, time: str, origin: str) -> dict[str, Sample]:  # noqa: A002  # the schema's word
    """The examples by language (`LANGUAGES`).

    Args:
        payment: an example payment; the code makes its columns `id` and `time` anew.
        origin: where the service is, such as `http://localhost:8080`.
    """
    return {
        "curl": _curl({**payment, id: "\0ID", time: "\0TIME"}, origin),
        "python": _python(
            _fields(payment, {id: "payment_id", time: "datetime.now(UTC).isoformat()"}), origin
        ),
        "r": _r(_fields(payment, {id: "id", time: _R_NOW}), origin),
        "csharp": _csharp(
            _fields(payment, {id: "id", time: 'DateTime.UtcNow.ToString("O")'}), origin
        ),
    }


def _fields(payment: Mapping[str, Value], made: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, made.get(name) or quoted(value)) for name, value in payment.items()]


def quoted(value: Value) -> str:
    """A value as JSON, which is also how Python, R and C# write texts and numbers."""
    return json.dumps(value, ensure_ascii=False)


def _lines(fields: list[tuple[str, str]], line: Callable[[str, str], str], indent: str) -> str:
    return ",\n".join(indent + line(name, value) for name, value in fields)


def _curl(payment: Mapping[str, Value], origin: str) -> Sample:
    # in this here-document the shell reads these three; all else is text
    body = re.sub(r"([\\$`])", r"\\\1", json.dumps(payment, ensure_ascii=False, indent=2))
    body = body.replace("\\\\u0000ID", "$ID").replace(
        "\\\\u0000TIME", "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    )
    headers = '  -H "Authorization: Bearer $KEY" \\\n  -H "Content-Type: application/json"'
    event = f"curl -sS {origin}/v1/payments/$ID/{{}} \\\n{headers} \\\n  -d '{{}}'"
    return Sample(
        decision=f"KEY={KEY}\nID=example-$(date +%s)\n\ncurl -sS {origin}/v1/decisions "
        f"\\\n{headers} \\\n"
        f"  --data-binary @- <<JSON\n{body}\nJSON",
        result=event.format("result", '{"result": "authorised"}'),
        label=event.format("label", '{"fraud": true}'),
    )


def _python(fields: list[tuple[str, str]], origin: str) -> Sample:
    body = _lines(fields, lambda name, value: f"{quoted(name)}: {value}", "    ")
    return Sample(
        decision=f"""from datetime import UTC, datetime
from uuid import uuid4

from shroff.client import Client

client = Client("{origin}", key="{KEY}")

payment_id = f"example-{{uuid4()}}"
decision = client.decide({{
{body},
}})
print(decision.action, decision.probability)
for reason in decision.reasons:
    print("-", reason.text)""",
        result='client.result(payment_id, "authorised")',
        label="client.label(payment_id, fraud=True)",
    )


_R_NOW: Final = 'format(Sys.time(), "%Y-%m-%dT%H:%M:%SZ", tz = "UTC")'


def _r(fields: list[tuple[str, str]], origin: str) -> Sample:
    def argument(name: str, value: str) -> str:
        plain = _NAME.fullmatch(name) and name not in _R_WORDS
        return f"{name if plain else quoted(name)} = {value}"

    def event(kind: str, body: str) -> str:
        return f"""shroff |>
  req_url_path_append("v1/payments", id, "{kind}") |>
  req_body_json(list({body})) |>
  req_perform()"""

    return Sample(
        decision=f"""library(httr2)

shroff <- request("{origin}") |>
  req_auth_bearer_token("{KEY}") |>
  req_retry(max_tries = 3)

id <- paste0("example-", format(Sys.time(), "%Y%m%d%H%M%S"))
decision <- shroff |>
  req_url_path_append("v1/decisions") |>
  req_body_json(list(
{_lines(fields, argument, "    ")}
  )) |>
  req_perform() |>
  resp_body_json()

cat(decision$action, decision$probability, "\\n")
for (reason in decision$reasons) cat("-", reason$text, "\\n")""",
        result=event("result", 'result = "authorised"'),
        label=event("label", "fraud = TRUE"),
    )


def _csharp(fields: list[tuple[str, str]], origin: str) -> Sample:
    def event(kind: str, body: str) -> str:
        return f"""await Post($"/v1/payments/{{id}}/{kind}", new {{ {body} }});"""

    return Sample(
        decision=f"""using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

using var http = new HttpClient {{ BaseAddress = new Uri("{origin}") }};
http.DefaultRequestHeaders.Authorization =
    new AuthenticationHeaderValue("Bearer", "{KEY}");

async Task<string> Post(string path, object body)
{{
    var json = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
    using var answer = await http.PostAsync(path, json);
    answer.EnsureSuccessStatusCode();
    return await answer.Content.ReadAsStringAsync();
}}

var id = $"example-{{Guid.NewGuid()}}";
var decided = await Post("/v1/decisions", new Dictionary<string, object?>
{{
{_lines(fields, lambda name, value: f"[{quoted(name)}] = {value}", "    ")},
}});
var decision = JsonDocument.Parse(decided).RootElement;
Console.WriteLine($"{{decision.GetProperty("action")}} {{decision.GetProperty("probability")}}");
foreach (var reason in decision.GetProperty("reasons").EnumerateArray())
    Console.WriteLine($"- {{reason.GetProperty("text")}}");""",
        result=event("result", 'result = "authorised"'),
        label=event("label", "fraud = true"),
    )
