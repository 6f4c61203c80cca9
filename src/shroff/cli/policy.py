"""`shroff policy`: rules, costs, thresholds and capacity, changed without a new fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shroff.cli.arguments import Note
from shroff.cli.models import published
from shroff.cli.terminal import AsJson, operator, out, print_rows, show, visible

if TYPE_CHECKING:
    from shroff.decide import ControlLane, Policy
    from shroff.decide.standing import Standing
    from shroff.evaluate import Review

app = typer.Typer(
    help="Show, check, publish, propose and roll back the policy; services follow within seconds, "
    "without a restart.",
    no_args_is_help=True,
)

Source = Annotated[
    Path,
    typer.Argument(
        help="A project, or a JSON file as `shroff policy show --json` prints it.",
        show_default=False,
    ),
]
Version = Annotated[
    str | None,
    typer.Argument(help="A published policy; default: the one in force.", show_default=False),
]


@app.command("show")
def show_one(version: Version = None, as_json: AsJson = False) -> None:
    """Show the policy that decides, or an earlier one."""
    models = published()
    _print(models.in_production()[1] if version is None else models.policy(version), as_json)


@app.command()
def check(source: Source, as_json: AsJson = False) -> None:
    """Check a policy against production; show thresholds and price of a review, change nothing."""
    _print(_fitting(source), as_json)


@app.command()
def diff(source: Source, as_json: AsJson = False) -> None:
    """Show what publishing a policy would change."""
    before, after = (_told(one) for one in (published().in_production()[1], _fitting(source)))
    rows: list[dict[str, object]] = [
        {"field": name, "before": before.get(name), "after": after.get(name)}
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    if as_json:
        show({"changes": rows})
    elif rows:
        print_rows(rows, "", "in force", "then")
    else:
        out.print("Nothing would change.")


@app.command()
def publish(source: Source, note: Note = None, as_json: AsJson = False) -> None:
    """Put a policy in force beside the model in production; refused if it does not fit."""
    _print(published().publish_policy(read_policy(source), by=operator(), note=note), as_json)


@app.command()
def rollback(note: Note = None, as_json: AsJson = False) -> None:
    """Put the previous policy back in force; before the first published one, the model's own."""
    _print(published().rollback_policy(by=operator(), note=note), as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every change of the policy in force: version, time, author and reason."""
    from msgspec.structs import asdict

    rows: list[dict[str, object]] = []
    stood = None
    for change in published().pointers.changes:
        if change.policy != stood:
            told = asdict(change)
            rows.append(
                {name: told[name] for name in ("at", "role", "action", "policy", "by", "note")}
            )
        stood = change.policy
    if as_json:
        show({"changes": rows})
    else:
        for row in rows:
            row["policy"] = row["policy"] or "the model's own"
        print_rows(rows, "at", "role", "action", "policy", "by", "note")


def _print(standing: Standing, as_json: bool) -> None:
    if as_json:
        show(_document(standing))
        return
    named = f"Policy {standing.version}" if standing.version else "The policy fits"
    own = ", the one that the model was packaged with" if standing.version in published() else ""
    out.print(f"{named}{own}:", soft_wrap=True)
    for name, value in _told(standing).items():
        out.print(visible(f"  {name}: {value}"), soft_wrap=True, markup=False)


def _document(standing: Standing) -> dict[str, Any]:
    """The policy as given, which can be published again, and the thresholds in force."""
    import msgspec

    return {
        "version": standing.version or None,
        "policy": msgspec.to_builtins(standing.given),
        "review_at": standing.policy.review_at,
        "decline_at": standing.policy.decline_at,
        "decide_by": standing.policy.decide_by or "thresholds",
        "review_price": standing.policy.review_price,
        "expiry": standing.policy.expiry,
        "declines_from": standing.policy.declines_from,
        "control_loss": standing.policy.control_loss,
        "chosen": list(standing.chosen),
    }


def _told(standing: Standing) -> dict[str, str]:
    """The settings of a policy, one line each."""
    from shroff.decide.policy import THRESHOLDS
    from shroff.evaluate.expected import MAX_COST

    policy = standing.policy
    lines = {
        name: _threshold(getattr(policy, name), name in standing.chosen) for name in THRESHOLDS
    }
    if policy.decide_by == "cost":
        lines = {"decides by": f"cost{_how('decide_by', standing)}", **lines}
        price = policy.review_price or 0.0
        minutes = not isinstance(policy.cost.review, float | str)
        lines["price of a minute of review" if minutes else "price of a review"] = (
            f"{'no review' if price >= MAX_COST else f'{price:.6g}'}"
            f"{_how('review_price', standing)}"
        )
    if policy.declines_from is not None:
        most = policy.max_genuine_declines
        share = "" if most is None else f", so that at most {most:.4g} of declines are genuine"
        lowest = _threshold(policy.declines_from, chosen=False)
        lines["declines from, at the earliest"] = (
            f"{lowest}{_how('declines_from', standing)}{share}"
        )
    lines |= {
        "cost of a review": _review(policy.cost.review),
        "cost of a missed fraud": _cost(policy.cost.missed),
        "cost of a wrong decline": _cost(policy.cost.declined),
    }
    if policy.expiry is not None:
        lines["reviews that expire"] = f"{policy.expiry:.2%}{_how('expiry', standing)}"
    if policy.cost.miss_rate:
        lines["frauds that reviewers miss"] = f"{policy.cost.miss_rate:.4g}"
    if (challenge := policy.cost.challenge) is not None:
        lines["challenge"] = ", ".join(
            f"{name} {getattr(challenge, name):g}"
            for name in ("passed", "abandoned", "liable", "cost")
        )
    if policy.control is not None:
        lines["control lane"] = _lane(policy.control, standing)
    lines |= {
        "reviews a day": _capacity(policy),
        "without a model": policy.degraded,
        "order of rules": ", ".join(rule.name for rule in policy.rules) or "no rules",
    }
    lines |= {f"rule {rule.name}": f"{rule.action} where {rule.condition}" for rule in policy.rules}
    return lines | {
        f"list {name}, before its edits": ", ".join(values) or "nothing"
        for name, values in policy.lists.items()
    }


def _capacity(policy: Policy) -> str:
    reviews, minutes = policy.reviews_per_day, policy.minutes_per_day
    if policy.capacity is None:
        return "no limit"
    if policy.capacity == 0:
        return "none"
    most = f"{reviews}" if minutes is None else f"{minutes:g} minutes of them"
    kept = f" on {policy.kept_days:.4g} of the days" if policy.decide_by == "cost" else ""
    return f"{most}{kept}"


def _review(cost: float | str | Review) -> str:
    if isinstance(cost, float | int | str):
        return _cost(cost)
    said = f"{_cost(cost.minutes)} minutes at {cost.per_hour:g} an hour"
    if cost.within_days is None:
        return said
    days = f"{cost.within_days} day{'s' if cost.within_days > 1 else ''}"
    when = f"within {days}" if cost.within_days else "on the same day"
    return f"{said}; {cost.expired} where not done {when}"


def _lane(lane: ControlLane, standing: Standing) -> str:
    from shroff.evaluate.expected import MAX_COST

    loss = standing.policy.control_loss
    falling = "" if loss is None or loss >= MAX_COST else f", less above a loss of {loss:.4g}"
    exempt = f", except {', '.join(lane.except_rules)}" if lane.except_rules else ""
    return (
        f"{lane.action} {lane.share:.4g} of {', '.join(lane.taken)}{falling}"
        f"{_how('control_loss', standing)}, up to {lane.money_per_day:g} a day{exempt}"
    )


def _cost(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _how(field: str, standing: Standing) -> str:
    return " (chosen)" if field in standing.chosen else ""


def _threshold(value: float | None, chosen: bool) -> str:
    from shroff.evaluate import NEVER

    how = " (chosen by cost)" if chosen else ""
    return f"{'never' if value is None or value >= NEVER else f'{value:.6g}'}{how}"


def _fitting(source: Path) -> Standing:
    from shroff.decide.standing import fit

    return fit(read_policy(source), published().production())


def read_policy(source: Path) -> Policy:
    """The policy of a project, or in a JSON file."""
    if source.suffix == ".json":
        from shroff.decide.standing import read_file

        return read_file(source)
    from shroff.project import load_project

    return load_project(source).policy
