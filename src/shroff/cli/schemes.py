"""`shroff schemes`: a log by the measures of regulators and card schemes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from shroff.cli.arguments import Data, Join, Labels, MaxBad, ProjectPath
from shroff.cli.terminal import (
    AsJson,
    err,
    out,
    print_dropped,
    print_notices,
    print_rows,
    show,
    steps,
)
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.pipeline import SchemeFigures
    from shroff.pipeline.schemes import Rated

_TYPES: Final = {"card": "card payments", "credit_transfer": "credit transfers"}
_SHOWN_CROSSINGS: Final = 12
_SHOWN_MERCHANTS: Final = 12


def schemes(
    project: ProjectPath,
    data: Data,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="The payments that count: remote and executed, such as \"result = 'authorised'\"; "
            "by default all.",
            show_default=False,
        ),
    ] = None,
    transfers: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Those that are credit transfers; by default all are by card.",
            show_default=False,
        ),
    ] = None,
    disputed: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Those that were disputed, for the VAMP ratio; by default none is known.",
            show_default=False,
        ),
    ] = None,
    merchant: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that tells merchants apart; by default the log is one merchant's.",
            show_default=False,
        ),
    ] = None,
    counted_on: Annotated[
        Literal["payment", "registration"],
        typer.Option(help="The day of a fraud: of its payment, or of the arrival of its label."),
    ] = "payment",
    join: Join = None,
    labels: Labels = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Print a log's PSD2 fraud rates, which exemption thresholds they allow, and its VAMP ratio."""
    from shroff.pipeline import collect_table, scheme_figures
    from shroff.project import load_project

    loaded = load_project(project)
    with steps(quiet=as_json) as step:
        step(f"read and clean {data}")
        key = Settings.read().hmac_key()
        cleaned = collect_table(
            loaded, data, key=key, join=join, labels=labels, max_bad=max_bad, count=step.count
        )
        step("rate")
        found = scheme_figures(
            loaded,
            cleaned.frame,
            where=where,
            transfers=transfers,
            disputed=disputed,
            merchant=merchant,
            counted_on=counted_on,
        )
    notices = cleaned.notices(loaded.schema)
    if as_json:
        show(found.to_dict() | {"dropped": cleaned.dropped, "notices": notices})
        return
    print_dropped(cleaned.dropped, cleaned.first)
    print_notices(notices)
    _print(found, all_counted=where is None)


def _print(found: SchemeFigures, *, all_counted: bool) -> None:
    what = "all of them, as remote and executed" if all_counted else "those that meet --where"
    _line(
        f"{found.counted:,} of {found.payments:,} payments count ({what}); {found.unlabelled:,} "
        "of them have no label and count as genuine. A fraud counts on the day of its "
        f"{found.counted_on}."
    )
    if found.registered_later:
        _line(f"{found.registered_later:,} frauds came in after the last day and count nowhere.")
    if found.refusal is not None:
        err.print(f"No PSD2 fraud rates: {found.refusal}", soft_wrap=True, markup=False)
    for name, rated in found.rates.items():
        _print_rates(_TYPES[name], rated)
    _line("\nVisa VAMP: reported frauds and disputes over settled payments, by month")
    if not found.disputes_known:
        _line("Disputes are not known (--disputed), so the ratio lacks them.")
    rows = found.vamp.to_dicts()
    each = [row for row in rows if row["merchant"] is not None]
    worst = sorted(each, key=lambda row: -(row["frauds"] + row["disputes"]))[:_SHOWN_MERCHANTS]
    together = [row for row in rows if row["merchant"] is None]
    print_rows([_vamp(row) for row in (*together, *worst)], *_vamp(rows[0]))
    if len(each) > len(worst):
        _line(
            f"Of {len(each):,} months of merchants, the {len(worst)} with most frauds and "
            "disputes; --json has all."
        )


def _print_rates(title: str, rated: Rated) -> None:
    _line(f"\nPSD2 fraud rates of {title} by calendar quarter, in EUR")
    _line("allows: payments without strong authentication, where their risk is low")
    rows = [_quarter(row) for row in rated.quarterly.to_dicts()]
    print_rows(rows, *rows[0])
    last = rated.daily.row(-1, named=True)
    rate = "no rate" if last["fraud_rate"] is None else _points(last["fraud_rate"])
    short = "" if last["days"] == 90 else " The log has no 90 days: this says little."
    allows = _upto(last["threshold"])
    _line(f"The {last['days']} days to {last['day']}: {rate}, which allows {allows}.{short}")
    crossed = rated.crossings.to_dicts()
    for one in crossed[:_SHOWN_CROSSINGS]:
        before = "" if one["before"] is None else f" instead of {_upto(one['before'])}"
        _line(f"From {one['day']} on, 90 days allow {_upto(one['after'])}{before}.")
    if len(crossed) > _SHOWN_CROSSINGS:
        _line(f"{len(crossed) - _SHOWN_CROSSINGS} more changes are in --json.")


def _quarter(row: dict[str, Any]) -> dict[str, object]:
    day = row["day"]
    return {
        "quarter": f"{day.year} Q{(day.month + 2) // 3}",
        "days": row["days"],
        "fraud": _money(row["fraud"]),
        "all": _money(row["total"]),
        "rate": "" if row["fraud_rate"] is None else _points(row["fraud_rate"]),
        "allows": _upto(row["threshold"]),
        "left after it": _upto(row["usable"]),
    }


def _vamp(row: dict[str, Any]) -> dict[str, object]:
    ratio = row["ratio"]
    return {
        "merchant": row["merchant"] or "all",
        "month": f"{row['month']:%Y-%m}",
        "settled": f"{row['settled']:,}",
        "frauds": f"{row['frauds']:,}",
        "disputes": f"{row['disputes']:,}",
        "ratio": "" if ratio is None else f"{ratio:.2%}",
        "level": row["level"] or "before VAMP",
    }


def _upto(threshold: int) -> str:
    return f"up to {threshold} EUR" if threshold else "no exemption"


def _points(rate: float) -> str:
    return f"{10_000 * rate:,.2f} bp"


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _line(text: str) -> None:
    out.print(text, soft_wrap=True, markup=False, highlight=False)
