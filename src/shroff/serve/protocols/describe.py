"""The OpenAPI description of the interfaces, generated from their routes and the types they read and write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from shroff.serve import problem
from shroff.serve.interface import Interface, Route, Types
from shroff.serve.openapi import KEY, REF, Json
from shroff.serve.problem import Kind


def describe(document: Json, interfaces: Iterable[Interface]) -> None:
    """Add the interfaces' operations and types to an OpenAPI document."""
    described = [(one, route) for one in interfaces for route in one.routes]
    types = [
        kind
        for one, route in described
        for kinds in (*route.takes.values(), *route.gives.values(), (one.error,))
        for kind in kinds
    ]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    of_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for one, route in described:
        document["paths"].setdefault(route.path, {})[route.method.lower()] = _operation(one, route, of_type)


def _operation(interface: Interface, route: Route, of_type: Mapping[int, Json]) -> Json:
    def content(described: Mapping[str, Types]) -> Json:
        return {media: {"schema": _any([of_type[id(kind)] for kind in kinds])} for media, kinds in described.items()}

    operation: Json = {
        "tags": [interface.name],
        "summary": route.summary,
        "operationId": route.operation,
        "responses": {"200": {"description": "Done.", "content": content(route.gives)}},
    }
    for kind in _failures(route):
        failure = operation["responses"][str(kind.status)] = {
            "description": f"{kind.title}.",
            "content": content({interface.error_media: (interface.error,)}),
        }
        if kind.headers:
            failure["headers"] = {name: {"schema": {"type": "string"}} for name in kind.headers}
    if route.names or route.query:
        operation["parameters"] = [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.names),
            *(
                {"name": name, "in": "query", "required": False, "schema": schema}
                for name, schema in route.query.items()
            ),
        ]
    if route.scope is not None:
        operation["security"] = [{KEY: [route.scope]}]
    if route.takes:
        operation["requestBody"] = {"required": not route.streamed, "content": content(route.takes)}
    return operation


def _any(schemas: list[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _failures(route: Route) -> list[Kind]:
    """What the route itself can say, and what comes with every address or every body."""
    found = {kind.status: kind for kind in (*route.fails, problem.INTERNAL)}
    for kind, happens in (
        (problem.UNAUTHORIZED, route.scope is not None),
        (problem.FORBIDDEN, route.scope is not None),
        (problem.TOO_MANY_REQUESTS, route.scope is not None),
        (problem.NOT_FOUND, bool(route.names)),
        (problem.TOO_LARGE, bool(route.takes) and not route.streamed),
        (problem.UNSUPPORTED_MEDIA_TYPE, bool(route.takes) and not route.any_media),
    ):
        if happens:
            found[kind.status] = kind
    return [found[status] for status in sorted(found)]
