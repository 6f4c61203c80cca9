"""Names of features, made of their definitions."""

from __future__ import annotations

import re


def slug(condition: str) -> str:
    """A condition as a part of a name.

    >>> slug("mcc_risk >= 2 AND result <> 'failed'")
    'mcc_risk_ge_2_and_result_ne_failed'
    """
    symbols = {
        "<=": " le ",
        ">=": " ge ",
        "<>": " ne ",
        "!=": " ne ",
        "<": " lt ",
        ">": " gt ",
        "=": " ",
    }
    text = re.sub("<=|>=|<>|!=|<|>|=", lambda match: symbols[match[0]], condition.lower())
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")
