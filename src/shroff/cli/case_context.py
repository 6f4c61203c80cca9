"""`shroff cases around` and `reasons`: what is known around a case, and whether reasons help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.cli.cases import Number, open_desk
from shroff.cli.terminal import AsJson, moment, operator, out, print_rows, show, visible

if TYPE_CHECKING:
    from shroff.act.hiding import ReasonsEffect
    from shroff.act.similar import CaseLink, SimilarCase


def around(number: Number, as_json: AsJson = False) -> None:
    """Show past cases like one, with their outcomes, and who shares a host, an e-mail … with it."""
    from msgspec import to_builtins

    found = open_desk().context(number, operator())
    if as_json:
        show(to_builtins(found))
        return
    if found.similar:
        print_rows([_past(one) for one in found.similar], "case", "closed", "outcome", "in common")
    else:
        out.print("No past case is like it.")
    if found.links:
        print_rows([_link(one) for one in found.links], "value", "payments", "other cases")
    if found.reasons_hidden:
        out.print("Its reasons are hidden until it is decided, to measure whether they help.")


def reasons(as_json: AsJson = False) -> None:
    """Compare cases whose reasons were shown with those whose reasons were hidden by lot."""
    from msgspec import to_builtins

    found = open_desk().reasons_effect()
    if as_json:
        show({"effects": to_builtins(found)})
    elif not any(one.shown_cases or one.hidden_cases for one in found):
        out.print(
            "No case was drawn: give a queue a share `hide_reasons`, such as 0.5.", soft_wrap=True
        )
    else:
        rows = [_effect(one) for one in found]
        print_rows(rows, "measure", "shown", "hidden", "difference, 95 % interval")


def _past(one: SimilarCase) -> dict[str, object]:
    common = [f"same {one.case.kind}"] if one.same_subject else []
    common += [f"{trait.kind} {trait.value}" for trait in one.shared]
    common += [f"reason {code}" for code in one.reasons]
    return {
        "case": one.case.id,
        "closed": moment(one.case.closed),
        "outcome": one.case.outcome,
        "in common": common,
    }


def _link(one: CaseLink) -> dict[str, object]:
    named = [f"{case.id} ({case.outcome or 'open'})" for case in one.cases]
    rest = one.others - len(one.cases)
    return {
        "value": visible(f"{one.kind} {one.value}"),
        "payments": one.payments,
        "cases": named + ([f"{rest} more"] if rest > 0 else []),
    }


def _effect(one: ReasonsEffect) -> dict[str, object]:
    minutes = one.measure == "minutes"
    told = None
    if one.effect is not None and one.interval is not None:
        low, high = one.interval
        told = (
            f"{one.effect:.2f} times as long ({low:.2f} to {high:.2f})"
            if minutes
            else f"{100 * one.effect:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
        )
    return {
        "measure": one.measure,
        "shown": _side(one.shown, one.shown_cases, minutes=minutes),
        "hidden": _side(one.hidden, one.hidden_cases, minutes=minutes),
        "difference": told,
    }


def _side(value: float | None, cases: int, *, minutes: bool) -> str:
    if value is None:
        return f"{cases:,} cases"
    return f"{value:.1f} ({cases:,} cases)" if minutes else f"{value:.1%} ({cases:,} cases)"
