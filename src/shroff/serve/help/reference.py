"""The reference part of the page: fields and operations, as the OpenAPI document describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shroff.markup import Html, html, join, prose, tag
from shroff.serve.help.highlight import highlight
from shroff.serve.help.samples import KEY
from shroff.serve.problem import KINDS

Json = Mapping[str, Any]

_WORDS: Final = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "null": "null",
}
_KINDS: Final = {kind.summary: kind for kind in KINDS}
_ENDINGS: Final = {
    "application/x-ndjson": "ndjson",
    "text/csv": "csv",
    "application/octet-stream": "bin",
}
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True)
class Entry:
    """An operation of the document."""

    method: str
    path: str
    says: Json

    @property
    def tag(self) -> str:
        """The kind of client it is for; empty for native operations."""
        return str(next(iter(self.says.get("tags", ())), ""))

    @property
    def scopes(self) -> list[str]:
        """The scopes that a key needs, one of them."""
        return [
            scope
            for asked in self.says.get("security", ())
            for scopes in asked.values()
            for scope in scopes
        ]

    @property
    def bodies(self) -> list[tuple[str, Json]]:
        """The request's media types and their schemas."""
        content = self.says.get("requestBody", {}).get("content", {})
        return [(media, about.get("schema", {})) for media, about in content.items()]


class Reference:
    """Reads an OpenAPI document (3.1)."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def component(self, name: str) -> Json:
        """A schema of the document's components."""
        found: Json = self._document["components"]["schemas"][name]
        return found

    def fields(self, name: str, *, examples: Json | None = None) -> Html:
        """The fields of a component as a list of definitions, with examples if there are any."""
        schema = self.component(name)
        needed = schema.get("required", ())
        return tag(
            "dl",
            *(
                self._field(field, about, required=field in needed, examples=examples)
                for field, about in schema["properties"].items()
            ),
            class_="fields",
        )

    def _field(self, name: str, about: Json, *, required: bool, examples: Json | None) -> Html:
        # an optional field may be null anyway
        badges = [tag("span", self.type_of(about, null=required), class_="type")]
        if examples is not None:
            word, looks = ("required", "badge must") if required else ("optional", "badge")
            badges.append(tag("span", word, class_=looks))
        if about.get("x-scale") == "personal":
            badges.append(tag("span", "personal", class_="badge personal"))
        facts = [prose(about["description"])] if "description" in about else []
        if "x-unit" in about:
            facts.append(html(prose(about["x-unit"][0].upper() + about["x-unit"][1:]), "."))
        if examples is not None and name in examples:
            facts.append(html("Example: ", tag("code", _json(examples[name])), "."))
        return tag(
            "div", tag("dt", tag("code", name), " ", join(badges, " ")), tag("dd", join(facts, " "))
        )

    def type_of(self, schema: Json, *, null: bool = True) -> str:
        """The values that a schema allows, in words."""
        if "$ref" in schema:
            return _name(schema).rpartition(".")[2]
        if "enum" in schema:
            return " | ".join(_json(value) for value in schema["enum"])
        several = schema.get("anyOf") or schema.get("oneOf")
        if several:
            return _either(self.type_of(one) for one in several if null or one != {"type": "null"})
        kinds = schema.get("type", "any value")
        if kinds == "array":
            return f"list of {self.type_of(schema.get('items', {}))}"
        if schema.get("format") in ("date-time", "uuid"):
            return {"date-time": "time", "uuid": "UUID"}[schema["format"]]
        return _either(
            _WORDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)
        )

    def operations(self) -> Iterator[Entry]:
        """Every operation, in the order of the document."""
        for path, methods in self._document["paths"].items():
            for method in _METHODS:
                if method in methods:
                    yield Entry(method.upper(), path, methods[method])

    def articles(self, origin: str) -> Html:
        """Every operation with a request to copy: native ones first, then by kind of client."""
        groups: dict[str, list[Entry]] = {"": []}
        for operation in self.operations():
            groups.setdefault(operation.tag, []).append(operation)
        own = sorted(
            groups.pop(""), key=lambda one: (one.path.startswith("/health"), one.path, one.method)
        )
        parts = [self._article(one, origin) for one in own]
        for name, others in groups.items():
            parts.append(tag("h3", name, class_="group"))
            parts += [self._article(one, origin) for one in others]
        return join(parts)

    def _article(self, operation: Entry, origin: str) -> Html:
        says = operation.says
        asks = html("Asks for a key with the scope ", tag("code", *operation.scopes), ".")
        about = [prose(says["description"])] if "description" in says else []
        text = [
            tag(
                "h4",
                tag("span", operation.method, class_=f"method {operation.method.lower()}"),
                " ",
                tag("code", operation.path),
                id=f"operation-{says['operationId']}",
            ),
            tag("p", tag("strong", says.get("summary", "").removesuffix("."), ".")),
            tag("p", join([*about, asks if operation.scopes else "Asks for no key."], " ")),
            self._body(operation),
            tag(
                "ul",
                *(self._response(*one) for one in sorted(says["responses"].items())),
                class_="responses",
            ),
        ]
        code = panel(f"{operation.method} {operation.path}", self._request(operation, origin))
        return tag(
            "article",
            tag("div", *text, class_="text"),
            tag("div", code, class_="side"),
            class_="pair",
        )

    def _body(self, operation: Entry) -> Html:
        """The fields of a request's body, or a link to them."""
        for _, schema in operation.bodies:
            name = _name(schema)
            if name == "Payment":
                return tag("p", "Takes a ", tag("a", "payment", href="#payment"), ".")
            if name and "properties" in self.component(name):
                return self.fields(name, examples={})
        return html()

    def _response(self, status: str, response: Json) -> Html:
        kind = _KINDS.get(response.get("description", ""))
        if kind is not None:
            looks = {
                "class_": f"status s{status[0]}xx",
                "aria_label": f"{status}: {kind.title}",
                "title": kind.title,
            }
            return tag("li", tag("a", status, href=f"#problem-{kind.slug}", **looks))
        gives = _either(
            self.type_of(content.get("schema", {}))
            for content in response.get("content", {}).values()
        )
        words = prose(response.get("description", "").removesuffix("."))
        mark = tag("span", status, class_=f"status s{status[0]}xx")
        return tag("li", mark, " ", words, f" ({gives})" if gives else "", class_="done")

    def _request(self, operation: Entry, origin: str) -> str:
        verb = "" if operation.method == "GET" else f"-X {operation.method} "
        lines = [f"curl -sS {verb}'{origin}{_filled(operation.path)}'"]
        if operation.scopes:
            lines.append(f'-H "Authorization: Bearer {KEY}"')
        for media, schema in operation.bodies[:1]:
            lines += [f'-H "Content-Type: {media}"', f"--data-binary {self._data(media, schema)}"]
        return " \\\n  ".join(lines)

    def _data(self, media: str, schema: Json) -> str:
        """A body as a word of the shell: written out if the document has examples, else a file."""
        name = _name(schema)
        fields = self.component(name).get("properties", {}) if name and name != "Payment" else {}
        shown = {
            field: about["examples"][0] for field, about in fields.items() if "examples" in about
        }
        if shown:
            return "'" + _json(shown).replace("'", "'\\''") + "'"
        stem = "payment" if name == "Payment" else "request"
        return f"@{stem}.{_ENDINGS.get(media, 'json')}"


def panel(title: str, code: str, *, language: str = "", name: str = "") -> Html:
    """A framed piece of code with a title; the script adds a button that copies it."""
    label = title if not name else f"{title}: {name}"
    block = tag("pre", tag("code", highlight(code)), tabindex="0", role="region", aria_label=label)
    marks: dict[str, str] = {"data_language": language} if language else {}
    if name:
        marks["data_example"] = name
    return tag("figure", tag("figcaption", title), block, class_="code", **marks)


def _either(words: Iterable[str]) -> str:
    """Alternatives in words, `null` last.

    >>> _either(["null", "text", "number", "number"])
    'text, number or null'
    """
    *first, last = sorted(dict.fromkeys(words), key="null".__eq__) or [""]
    return f"{', '.join(first)} or {last}" if first else last


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(schema: Json) -> str:
    """The component that a schema refers to, or an empty text."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _filled(path: str) -> str:
    """A path with example values for its parameters."""
    return path.replace("{payment_id}", "example-1").replace("{", "").replace("}", "")
