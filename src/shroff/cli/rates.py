"""`shroff rates`: the exchange rates of payments, replaced while the service runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import Note
from shroff.cli.models import published
from shroff.cli.terminal import AsJson, err, moment, operator, out, print_rows, show
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff import Rates
    from shroff.control import Replacement, ReplacementRecord, StoredRates

app = typer.Typer(
    help="Show and replace the exchange rates that amounts are converted by; services follow "
    "within seconds.",
    no_args_is_help=True,
)

OfBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        help="The bundle with the rates; default: the model in production.",
        show_default=False,
    ),
]


@app.command("show")
def show_rates(bundle: OfBundle = None, as_json: AsJson = False) -> None:
    """Show the rates that payments are converted by now."""
    from shroff.control import holding

    own, last = _own(bundle), _stored().last()
    rates = holding(last, own)
    rows = [_row(rate.currency, rate.rate, rate.since, rate.until) for rate in rates.rates]
    if as_json:
        replaced = rates is last
        show({"base": rates.base, "mark": rates.mark, "replaced": replaced, "rates": rows})
        return
    out.print(
        f"Units of {rates.base} per unit; these rates are marked {rates.mark}.", soft_wrap=True
    )
    print_rows(rows, "currency", "rate", "since", "until")


@app.command()
def replace(
    file: Annotated[
        Path, typer.Argument(help="CSV: currency, rate, since, until.", show_default=False)
    ],
    note: Note = None,
    bundle: OfBundle = None,
    as_json: AsJson = False,
) -> None:
    """Convert payments by the rates of a file from now on; earlier decisions stay as they are."""
    from shroff import Rates
    from shroff.control import holding

    own, stored = _own(bundle), _stored()
    rates = Rates.read(file, base=own.base)
    gone = sorted(set(holding(stored.last(), own).currencies) - set(rates.currencies))
    made = stored.replace(rates, by=operator(), note=note)
    if gone:
        err.print(
            f"no rate any more: {', '.join(gone)}; payments in them are refused.", soft_wrap=True
        )
    _print(made, as_json)


@app.command()
def reset(note: Note = None, as_json: AsJson = False) -> None:
    """Convert payments by the rates of the bundle again."""
    _print(_stored().replace(None, by=operator(), note=note), as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every replacement of the rates with its author."""
    rows = [_told(one) for one in _stored().records()]
    if as_json:
        show({"replacements": rows})
        return
    print_rows(rows, "id", "mark", "rates", "note", "by", "at")


def _own(folder: Path | None) -> Rates:
    from shroff.errors import ConfigurationError
    from shroff.package import load

    bundle = published().production() if folder is None else load(folder)
    if bundle.schema.rates is None:
        raise ConfigurationError(
            f"the model {bundle.version} converts nothing: declare exchange rates with "
            "Schema(rates=…) and train again."
        )
    return bundle.schema.rates


def _stored() -> StoredRates:
    from shroff.control import StoredRates

    return StoredRates(Settings.read().control)


def _print(made: Replacement[Rates], as_json: bool) -> None:
    if as_json:
        show(_told(made.record))
        return
    what = (
        "the bundle's own rates again" if made.table is None else f"rates marked {made.table.mark}"
    )
    out.print(f"{what}, replacement {made.id}.", soft_wrap=True)


def _told(made: ReplacementRecord) -> dict[str, object]:
    return {
        "id": made.id,
        "mark": made.mark,
        "rates": made.rows or 0,
        "note": made.note,
        "by": made.made_by,
        "at": moment(made.made_at),
    }


def _row(currency: str, rate: str, since: str, until: str | None) -> dict[str, object]:
    return {"currency": currency, "rate": rate, "since": since, "until": until}
