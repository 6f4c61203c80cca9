"""The OpenAPI description, made from the operations and the types that they read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shroff import __version__
from shroff.serve import problem
from shroff.serve.operation import Interface, Operation, Types
from shroff.serve.problem import Kind

Json = dict[str, Any]

_KEY: Final = "key"
REF: Final = "#/components/schemas/{name}"
_INFO: Final = {
    "title": "Shroff",
    "version": __version__,
    "description": "Payment-fraud detection: every payment decided, durably and with reasons.",
}
_KEYS: Final = {
    _KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key; `shroff keys create` makes one.",
    }
}


@dataclass(frozen=True)
class Component:
    """A type known only at run time, such as a payment of the deployed schema.

    Args:
        schema: gives its JSON Schema, for each document anew.
    """

    name: str
    schema: Callable[[], Json]


class Document:
    """The OpenAPI document of some interfaces; called, it gives the document as it is now."""

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        described = [
            (one, operation)
            for one in interfaces
            for operation in one.operations
            if operation.described
        ]
        found = [
            kind
            for one, operation in described
            for kinds in (*operation.takes.values(), *operation.gives.values(), (one.error,))
            for kind in kinds
        ]
        types = [kind for kind in found if not isinstance(kind, Component)]
        self._made = {kind.name: kind.schema for kind in found if isinstance(kind, Component)}
        schemas, components = msgspec.json.schema_components(types, ref_template=REF)
        self._components = {
            name: _in_one_paragraph(component) for name, component in components.items()
        }
        of_type: dict[int, Json] = {
            id(kind): schema for kind, schema in zip(types, schemas, strict=True)
        }
        of_type |= {
            id(kind): {"$ref": REF.format(name=kind.name)}
            for kind in found
            if isinstance(kind, Component)
        }
        self._paths: dict[str, Json] = {}
        for one, operation in described:
            self._paths.setdefault(operation.path, {})[operation.method.lower()] = _entry(
                one, operation, of_type
            )

    def __call__(self) -> Json:
        """The document with fresh examples: a service refuses old payments."""
        made = {name: schema() for name, schema in self._made.items()}
        return {
            "info": _INFO,
            "openapi": "3.1.0",
            "servers": [{"url": "/"}],
            "paths": self._paths,
            "components": {"schemas": self._components | made, "securitySchemes": _KEYS},
        }


def _in_one_paragraph(component: Json) -> Json:
    """A component whose description, a docstring, has lost its indentation."""
    if "description" not in component:
        return component
    return component | {"description": " ".join(component["description"].split())}


def _entry(interface: Interface, operation: Operation, of_type: Mapping[int, Json]) -> Json:
    def content(described: Mapping[str, Types]) -> Json:
        return {
            media: {"schema": _any([of_type[id(kind)] for kind in kinds])}
            for media, kinds in described.items()
        }

    success: Json = {"description": operation.done}
    if operation.gives:
        success["content"] = content(operation.gives)
    entry: Json = {"summary": operation.summary, "operationId": operation.name}
    if interface.name:
        entry["tags"] = [interface.name]
    if operation.description:
        entry["description"] = operation.description
    if parameters := _parameters(operation):
        entry["parameters"] = parameters
    if operation.takes:
        entry["requestBody"] = {
            "required": not operation.streamed,
            "content": content(operation.takes),
        }
    entry["responses"] = {str(operation.status): success}
    for kind in _failures(operation):
        entry["responses"][str(kind.status)] = _failure(
            kind, content({interface.error_media: (interface.error,)})
        )
    if operation.scope is not None:
        entry["security"] = [{_KEY: [operation.scope]}]
    return entry


def _parameters(operation: Operation) -> list[Json]:
    return [
        *(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in operation.names
        ),
        *(
            {"name": name, "in": where, "required": False, "schema": about}
            for where, given in (("query", operation.query), ("header", operation.asks))
            for name, about in given.items()
        ),
    ]


def _failure(kind: Kind, content: Json) -> Json:
    response: Json = {"description": kind.summary, "content": content}
    if kind.headers:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in kind.headers}
    return response


def _any(schemas: list[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _failures(operation: Operation) -> list[Kind]:
    """The problems an operation declares, and those that every key, path and body can have."""
    found = {kind.status: kind for kind in (*operation.fails, problem.INTERNAL)}
    for kind, happens in (
        (problem.UNAUTHORIZED, operation.scope is not None),
        (problem.FORBIDDEN, operation.scope is not None),
        (problem.TOO_MANY_REQUESTS, operation.scope is not None),
        (problem.NOT_FOUND, bool(operation.names)),
        (problem.TOO_LARGE, bool(operation.takes) and not operation.streamed),
        (problem.UNSUPPORTED_MEDIA_TYPE, bool(operation.takes)),
    ):
        if happens:
            found[kind.status] = kind
    return [found[status] for status in sorted(found)]
