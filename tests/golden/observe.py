"""The plan whose generated function stands in `observe.txt`, and in `observe_compiled.txt` as it is
where compiled code reads windows; `PYTHONPATH=tests python -m golden.observe` writes both.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from shroff import Entity, FeatureGroup, Schema, speedups
from shroff.features.engines.online import OnlineEngine

GOLDEN: Final = Path(__file__).with_suffix(".txt")
COMPILED: Final = GOLDEN.with_stem("observe_compiled")
SCHEMA = Schema(
    id="payment_id",
    time="created_at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    result="result",
    nominal=["mcc"],
)
card, merchant = Entity("card", "card_id"), Entity("merchant", "merchant_id")
VELOCITY = FeatureGroup(
    "velocity",
    version=1,
    description="One feature for each way in which a window is read",
    features=[
        card.count(["1h", "1d"]),
        card.count("1d", where="result = 'failed'", name="card_failed_1d"),
        card.total("amount", "1d", resolution="1h"),
        card.distinct("merchant_id", "1d"),
        card.max("amount", "1d", include_current=True),
        merchant.risk("7d", delay="7d"),
    ],
)


def engine(compiled: ModuleType | None = None) -> OnlineEngine:
    """An engine of the plan, without state, with this compiled code or without any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedups, "compiled", compiled)
        return OnlineEngine([VELOCITY], SCHEMA.with_keys(VELOCITY.key_columns))


if __name__ == "__main__":
    GOLDEN.write_text(engine().source)
    COMPILED.write_text(engine(speedups.compiled).source)
