"""Types of a definition's fields, checked when it is made."""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec.structs import FieldInfo, force_setattr

from shroff.errors import ConfigurationError


def require_types(definition: msgspec.Struct) -> None:
    """Raise `ConfigurationError` if a field has another type; an int for a float is converted.

    >>> from shroff.features.row import Sql
    >>> Sql("big", None)
    Traceback (most recent call last):
    ...
    shroff.errors.ConfigurationError: Sql(expression=…): expected `str`, got `null`.
    """
    for one in _fields(type(definition)):
        given = getattr(definition, one.name)
        # a NumPy float is one
        plain = float(given) if isinstance(given, float) else given
        try:
            force_setattr(definition, one.name, msgspec.convert(plain, one.type))
        except msgspec.ValidationError as error:
            what = getattr(definition, "function", type(definition).__name__)
            sentence = f"{error}".replace("Expected", "expected", 1)
            raise ConfigurationError(f"{what}({one.name}=…): {sentence}.") from None


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(kind)
