"""The tables of `shroff monitor` about the control lane, and before labels are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.cli.terminal import out, print_rows

if TYPE_CHECKING:
    from shroff.evaluate.weighted import Estimate
    from shroff.monitor.early import EarlyFrauds
    from shroff.monitor.lane import LaneMonth
    from shroff.monitor.verdict import ModelVerdict


def print_lane(found: ModelVerdict) -> None:
    """Print what the control lane shows, and the estimates before labels mature."""
    from shroff.monitor.early import ASSUMPTIONS

    if found.lanes:
        out.print("By the control lane, of declines and challenges that had a chance:")
        print_rows([_lane_row(one) for one in found.lanes], *_lane_row(found.lanes[0]))
    early = [one for one in found.early if one.by_delay or one.by_lane]
    if not early:
        return
    out.print("Frauds, estimated before all labels are in:")
    print_rows([_early_row(one) for one in early], *_early_row(early[0]))
    for name, assumption in ASSUMPTIONS.items():
        if any(getattr(one, name) for one in early):
            said = f"{name.replace('_', ' ')}: {assumption}."
            out.print(said, soft_wrap=True, highlight=False)


def _lane_row(one: LaneMonth) -> dict[str, object]:
    return {
        "month": one.month,
        "stopped": f"{one.stopped:,}",
        "taken": one.taken,
        "no chance": ", ".join(f"{count:,} {why}" for why, count in one.no_chance.items()),
        "false declines": _number(one.false_declines),
        "precision": _share(one.precision),
        "recall": _share(one.recall),
        "saved": _number(one.saved),
        "refused": _number(one.refused),
        "lane lost": f"{one.lane_lost:,.0f}",
    }


def _early_row(one: EarlyFrauds) -> dict[str, object]:
    return {
        "month": one.month,
        "decided": one.decided,
        "payments": f"{one.payments:,}",
        "too young": f"{one.too_young:,}",
        "known": f"{one.known:,}",
        "by delay": _number(one.by_delay),
        "by lane": _number(one.by_lane),
        "matured": _number(one.matured),
        "amount by delay": _number(one.amount_by_delay),
        "amount matured": "" if one.amount_matured is None else f"{one.amount_matured:,.0f}",
    }


def _number(one: Estimate | None) -> str:
    if one is None:
        return ""
    if one.low == one.high:
        return f"{one.value:,.0f}"
    return f"{one.value:,.0f} ({one.low:,.0f}–{one.high:,.0f})"


def _share(one: Estimate | None) -> str:
    return "" if one is None else f"{one.value:.2f} ({one.low:.2f}–{one.high:.2f})"
