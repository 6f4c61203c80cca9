"""`shroff cases`: payments to review, worked on by people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from shroff.cli.terminal import (
    AsJson,
    err,
    moment,
    operator,
    out,
    print_rows,
    read_moment,
    show,
    visible,
)
from shroff.errors import NotFound
from shroff.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shroff.act import Case, CaseEvent, CasePayment, Desk

app = typer.Typer(
    help="Work on payments to review, grouped into cases: claim, decide, next.",
    no_args_is_help=True,
)

Number = Annotated[int, typer.Argument(metavar="CASE", help="The case.", show_default=False)]
Version = Annotated[
    int | None,
    typer.Option(
        help="The version that you saw: refused if it was changed since.", show_default=False
    ),
]
Reason = Annotated[str, typer.Option("--why", help="The reason.", show_default=False)]
OptionalNote = Annotated[
    str | None, typer.Option("--note", help="For the history.", show_default=False)
]
InQueue = Annotated[str | None, typer.Option(help="Only of this queue.", show_default=False)]

_COLUMNS: Final = (
    "case",
    "subject",
    "queue",
    "worth",
    "amount",
    "payments",
    "probability",
    "due",
    "holder",
)


@app.command("list")
def list_cases(
    queue: InQueue = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that you have claimed.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Closed cases.")] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List open cases, those with most expected loss per minute of work first."""
    holder, desk = operator() if mine else None, open_desk()
    found = desk.cases(queue=queue, holder=holder, closed=closed, viewer=operator(), limit=limit)
    if not found:
        _require_queue(desk, queue)
    if as_json:
        show({"cases": [_plain(one) for one in found]})
    elif found:
        print_rows([_row(one) for one in found], *_COLUMNS)
    else:
        of = " of yours" if mine else ""
        where = "" if queue is None else f" in the queue `{queue}`"
        state = "closed" if closed else "open"
        out.print(f"No case{of}{where} is {state}.", soft_wrap=True, markup=False)


@app.command("show")
def show_case(number: Number, as_json: AsJson = False) -> None:
    """Show a case, its payments and its history."""
    case, payments, events = open_desk().case(number, operator())
    _print(case, payments, events, as_json)


@app.command("next")
def next_case(queue: InQueue = None, as_json: AsJson = False) -> None:
    """Claim the case that is most worth your time, and show it."""
    desk = open_desk()
    case = desk.next(operator(), queue=queue)
    if case is not None:
        _print(*desk.case(case.id, operator()), as_json)
        return
    _require_queue(desk, queue)
    if as_json:
        show({"case": None})
    else:
        out.print("No case waits.")


@app.command()
def claim(number: Number, version: Version = None, as_json: AsJson = False) -> None:
    """Claim a case for an hour; again, for another hour."""
    _changed(open_desk().claim(number, operator(), version=version), as_json)


@app.command()
def release(number: Number, version: Version = None, as_json: AsJson = False) -> None:
    """Give a claimed case back."""
    _changed(open_desk().release(number, operator(), version=version), as_json)


@app.command()
def assign(
    number: Number,
    to: Annotated[str, typer.Option(help="To whom.", show_default=False)],
    why: Reason,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Give a case to somebody, whoever has it."""
    _changed(open_desk().assign(number, operator(), to=to, note=why, version=version), as_json)


@app.command()
def snooze(
    number: Number,
    until: Annotated[
        str, typer.Option(help="A day (UTC), or ISO 8601 with a zone.", show_default=False)
    ],
    note: OptionalNote = None,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Put a case off."""
    at = read_moment(until) or 0
    _changed(open_desk().snooze(number, operator(), until=at, note=note, version=version), as_json)


@app.command()
def escalate(number: Number, why: Reason, version: Version = None, as_json: AsJson = False) -> None:
    """Pass a case on to somebody with more to say."""
    _changed(open_desk().escalate(number, operator(), note=why, version=version), as_json)


@app.command()
def note(
    number: Number,
    text: Annotated[str, typer.Argument(help="What to write down.", show_default=False)],
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Write something down about a case."""
    _changed(open_desk().note(number, operator(), note=text, version=version), as_json)


@app.command()
def decide(
    numbers: Annotated[
        list[int], typer.Argument(metavar="CASE...", help="The cases.", show_default=False)
    ],
    outcome: Annotated[
        Literal["fraud", "genuine", "unclear", "refunded"],
        typer.Option(help="What they came to.", show_default=False),
    ],
    note: OptionalNote = None,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Close cases, all or none; their payments that were not approved get labels by the outcome."""
    desk = open_desk()
    if len(numbers) == 1:
        case = desk.decide(numbers[0], operator(), outcome=outcome, note=note, version=version)
        _changed(case, as_json)
        return
    closed = desk.decide_all(numbers, operator(), outcome=outcome, note=note)
    if as_json:
        show({"cases": [_plain(one) for one in closed]})
    else:
        out.print(f"{len(closed):,} cases are closed.")


@app.command()
def reopen(number: Number, why: Reason, as_json: AsJson = False) -> None:
    """Open a closed case again; labels that it gave stay."""
    _changed(open_desk().reopen(number, operator(), note=why), as_json)


@app.command()
def undo(number: Number, as_json: AsJson = False) -> None:
    """Take back a decision that you made within the last five minutes."""
    _changed(open_desk().undo(number, operator()), as_json)


@app.command()
def queues(
    replace: Annotated[
        Path | None,
        typer.Option(
            help="Replace all queues by a JSON list of name, condition, sla_minutes and minutes.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the queues in the order in which they take cases, or replace them."""
    from msgspec.structs import asdict

    from shroff.act.queues import read_queues

    desk = open_desk()
    if replace is not None:
        desk.set_queues(read_queues(replace))
    rows = [asdict(one) for one in desk.queues()]
    if as_json:
        show({"queues": rows})
    else:
        print_rows(
            rows,
            "queue",
            "condition",
            "close within minutes",
            "minutes of work",
            "judged twice",
            "reasons hidden",
        )


@app.command()
def analysts(as_json: AsJson = False) -> None:
    """Show how well people agree on the cases that were judged twice, and how many frauds they
    miss.
    """
    from msgspec import to_builtins

    found = open_desk().agreement()
    if as_json:
        show(to_builtins(found))
        return
    if found.interval is None:
        out.print("No case was judged twice: give a queue a share `second_review`.")
        return
    rows = [
        {
            "analyst": one.name,
            "cases": one.cases,
            "agreed": one.agreed,
            "frauds": one.frauds,
            "missed": one.missed,
            "miss rate": _between(one.miss_rate, one.interval),
        }
        for one in found.analysts
    ]
    print_rows(rows, "analyst", "cases", "agreed", "frauds", "missed", "miss rate")
    kappa = "" if found.kappa is None else f" (Cohen's kappa {found.kappa:.2f})"
    agreed = _between(found.share, found.interval)
    out.print(f"Of {found.cases:,} cases both said the same of {agreed}{kappa}.")
    if found.miss_rate is not None:
        missed = _between(found.miss_rate, found.miss_interval)
        out.print(f"First reviewers missed {missed}: Cost(miss_rate={found.miss_rate:.3f}).")


def _between(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None or interval is None:
        return ""
    return f"{share:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Verify the chained history of all cases; exit code 1 if it was changed."""
    from shroff.errors import BrokenChain

    try:
        last = open_desk().verify()
    except BrokenChain as error:
        if as_json:
            show({"holds": False, "fault": str(error)})
        else:
            err.print(str(error), soft_wrap=True)
        raise typer.Exit(1) from None
    head = None if last is None else f"{last.id}:{last.chain}"
    if as_json:
        show({"holds": True, "head": head})
    else:
        out.print(f"The history of cases holds; its head is {head}.", soft_wrap=True)


@app.command()
def history(
    by: Annotated[
        str | None, typer.Option(help="Only what this person did.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="From this time on, such as 2026-01-31T00:00Z.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what with cases, when and why, the oldest first; fails if the history was
    changed.
    """
    began = read_moment(since)
    steps = open_desk().history(operator())
    found = [one for one in steps if by in (None, one.by) and (began is None or one.at >= began)]
    head = f"{steps[-1].id}:{steps[-1].chain}" if steps else None
    if as_json:
        show({"steps": [_plain_step(one) for one in found], "head": head})
        return
    if found:
        _print_steps(found, "at", "by", "case", "step", "outcome", "to", "note")
    else:
        out.print("No such step.")
    out.print(f"The history of cases holds; its head is {head}.", soft_wrap=True)


def open_desk() -> Desk:
    from shroff.act import Desk

    settings = Settings.read()
    return Desk(settings.control, key=settings.hmac_key())


def _require_queue(desk: Desk, queue: str | None) -> None:
    """Raise `NotFound` where nothing is found in a queue because there is none of this name."""
    if queue is None:
        return
    names = [load.queue.name for load in desk.loads()]
    if queue not in names:
        known = ", ".join([f"`{name}`" for name in names])
        raise NotFound(f"no queue is called `{queue}`: expected one of {known}.")


def _changed(case: Case, as_json: bool) -> None:
    if as_json:
        show({"case": _plain(case)})
        return
    who = "" if case.holder is None else f", {case.holder} has it until {moment(case.lease)}"
    what = f"closed as {case.outcome}" if case.status == "closed" else "open"
    out.print(visible(f"Case {case.id}, version {case.version}: {what}{who}."), soft_wrap=True)


def _print(case: Case, payments: list[CasePayment], events: list[CaseEvent], as_json: bool) -> None:
    from msgspec.structs import asdict

    if as_json:
        show(
            {
                "case": _plain(case),
                "payments": [asdict(one) | {"at": moment(one.at)} for one in payments],
                "history": [_plain_step(one) for one in events],
            }
        )
        return
    _changed(case, as_json=False)
    out.print(visible(f"{case.kind}: {case.subject}"), soft_wrap=True, highlight=False)
    rows = [
        {
            "payment": one.payment_id,
            "at": moment(one.at),
            "amount": f"{one.amount:,.2f}",
            "probability": "" if one.probability is None else f"{one.probability:.4f}",
            "action": one.action,
            "fraud": one.fraud,
        }
        for one in payments
    ]
    print_rows(rows, "payment", "at", "amount", "probability", "action", "fraud")
    _print_steps(events, "at", "by", "step", "outcome", "to", "note")


def _print_steps(steps: Iterable[CaseEvent], *columns: str) -> None:
    plain = (_plain_step(one) for one in steps)
    print_rows([{name: one[name] for name in columns} for one in plain], *columns)


def _plain_step(one: CaseEvent) -> dict[str, Any]:
    from msgspec.structs import asdict

    return asdict(one) | {"at": moment(one.at), "until": moment(one.until)}


def _row(case: Case) -> dict[str, object]:
    return {
        "case": case.id,
        "subject": f"{case.kind} {case.subject}",
        "queue": case.queue + "!" * case.level,
        "worth": f"{case.worth:,.2f}",
        "amount": f"{case.amount:,.2f}",
        "payments": case.payments,
        "probability": "" if case.probability is None else f"{case.probability:.4f}",
        "due": moment(case.due),
        "holder": case.holder,
    }


def _plain(case: Case) -> dict[str, Any]:
    from msgspec.structs import asdict

    times = ("opened", "due", "newest", "lease", "wake", "closed")
    return asdict(case) | {name: moment(getattr(case, name)) for name in times}
