"""Checks of what a schema is given: names of columns, their roles, sources of labels, the zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from shroff.collect.cards import require_no_card_number
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean

OPTIONAL_ROLES: Final = ("currency", "label", "result", "arrived_at", "result_at", "labelled_at")
_MAX_COLUMNS: Final = 2_000
_MAX_SOURCES: Final = 200
UNFIT_NAME: Final = re.compile(r'["\\\x00-\x1f]')
_MISSPELT: Final = 0.9
"""How similar two names must be for one to be the other misspelt, and not a key of its own."""


def require_names(named: Sequence[tuple[str, object]]) -> None:
    """Check the names of columns, each with its role."""
    if len(named) > _MAX_COLUMNS:
        raise ConfigurationError(
            f"Schema: expected at most {_MAX_COLUMNS:,} columns, got {len(named):,}."
        )
    for role, name in named:
        if not (isinstance(name, str) and name) and not (name is None and role in OPTIONAL_ROLES):
            got = "an empty text" if name == "" else type(name).__name__
            raise ConfigurationError(f"Schema({role}=…): expected the name of a column, got {got}.")
        if name is not None:
            require_no_card_number(name, f"the name of a column in Schema({role}=…)")
        if name is not None and UNFIT_NAME.search(name):
            raise ConfigurationError(
                f"Schema({role}=…): column {name!r} has a quotation mark, a backslash or a "
                "control character, "
                "which no field of a live payment can have in its name; rename the column."
            )


def require_single_roles(
    roles: Mapping[str, str], lists: Mapping[str, Sequence[str]], original: str | None
) -> None:
    """Check that no column has two roles.

    Args:
        roles: the columns of roles with one column.
        lists: the columns of roles with several.
        original: the column of amounts before conversion, if any.
    """
    seen: dict[str, str] = {}
    for role, name in roles.items():
        if name in seen:
            raise ConfigurationError(
                f"column `{name}` is both {seen[name]} and {role}: a column has one role."
            )
        seen[name] = role
    for scale in ("numeric", "personal", "ignored", "nominal"):
        for name in lists[scale]:
            # a currency code is a name, too: this role may also be a nominal input of models
            if name in seen and not (scale == "nominal" and seen[name] == "currency"):
                raise ConfigurationError(
                    f"column `{name}` is both {seen[name]} and {scale}: name it once."
                )
            seen[name] = scale
    for name in (*lists["keys"], *lists["required"]):
        if name in lists["ignored"]:
            raise ConfigurationError(
                f"column `{name}` is ignored, so it can be neither a key nor required."
            )
    known = {*seen, *lists["keys"]}
    if original in {*known, *lists["ignored"], *lists["required"]}:
        raise ConfigurationError(
            f"column `{original}`: this is what the amount in the currency of the payment "
            "is called, where rates convert it; rename the column."
        )
    for name in lists["required"]:
        if name not in known and get_close_matches(name, known, n=1, cutoff=_MISSPELT):
            raise UnknownColumn(
                f"Schema(required=…): unknown column `{name}`{did_you_mean(name, known)} "
                "If it is a column of its own, name it in keys=[…] too."
            )


def require_subject(subject: str | None, scales: Mapping[str, str], ignored: Sequence[str]) -> None:
    """Check the column that says whose payment it is.

    Args:
        scales: those of all columns that are kept, the subject's too.
    """
    if subject is None:
        return
    require_names([("subject", subject)])
    if scales[subject] not in ("key", "personal", "nominal") or subject in ignored:
        what = "ignored" if subject in ignored else scales[subject]
        raise ConfigurationError(
            f"Schema(subject=…): expected a key, a personal or a nominal column, got `{subject}`, "
            f"which is {what}."
        )
    others = scales.keys() - {subject}
    if scales[subject] == "key" and get_close_matches(subject, others, n=1, cutoff=_MISSPELT):
        raise UnknownColumn(
            f"Schema(subject=…): unknown column `{subject}`{did_you_mean(subject, others)}"
        )


def require_sources(sources: Sequence[str], label: str | None) -> None:
    """Check the ranked sources of labels."""
    if len(set(sources)) < len(sources) or not all(
        isinstance(name, str) and name for name in sources
    ):
        raise ConfigurationError(
            "Schema(label_sources=…): expected each source of labels by its name, once."
        )
    if len(sources) > _MAX_SOURCES:
        raise ConfigurationError(
            f"Schema(label_sources=…): expected at most {_MAX_SOURCES} sources, got {len(sources)}."
        )
    if sources and label is None:
        raise ConfigurationError(
            "Schema(label_sources=…) ranks labels: name their column with label=… too."
        )


def require_zone(name: str) -> None:
    """Check the name of a time zone."""
    try:
        ZoneInfo(name)
        # Polars knows fewer names, for instance not `localtime`
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(name))
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.ComputeError):
        raise ConfigurationError(
            f"Schema(timezone=…): `{name}` is no IANA time zone such as `Europe/Copenhagen`."
        ) from None
