"""One fault after another, and a table of what became of every payment.

    python -m benchmarks.faults
    python -m benchmarks.faults --only kill --only clock

Twelve clients send payments, results and labels over keep-alive connections, each again until it is
answered, and now and then once more. After the fault the service must answer again. Then every
answer is looked up in the ledger, the chain is verified, and the features of every decision are
computed again by the batch engine over the ledger. *Noticed by* is what an operator is told: by the
health check, the log, an exit code; *recovered after* is the longest that no payment was decided
with features. A fault that cannot be made here is said to be not run, and why. Exit code 1 when
something was lost, counted twice or wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.faults import (
    clients,
    clocks,
    hostile,
    ledgers,
    machine,
    models,
    servers,
    steps,
    strangers,
    streams,
)
from benchmarks.faults.place import Place
from benchmarks.faults.verdict import Verdict
from serve.fixtures import fitted_model, make_bundle
from shroff.package import save

FAULTS: Final[dict[str, Callable[[Place], Verdict]]] = {
    "kill": machine.kills,
    "steps": steps.steps,
    "workers": servers.worker,
    "disk": machine.full_disk,
    "database": servers.database,
    "spool": servers.database_spooled,
    "silent": servers.database_silent,
    "redis-lost": servers.state_empty,
    "redis-kept": servers.state_kept,
    "redis-silent": servers.state_silent,
    "clock": machine.clock,
    "slow": clients.slow,
    "many": clients.many,
    "bundle": machine.damaged_bundle,
    "publish": machine.publish,
    "features": servers.features,
    "future-row": clocks.future_row,
    "client-clock": clocks.client_clock,
    "server-clock": clocks.server_clock,
    "redis-garbage": strangers.spoilt,
    "redis-shared": strangers.shared,
    "wal": ledgers.removed_log,
    "forged": ledgers.forged,
    "older-copy": ledgers.older_copy,
    "two-writers": ledgers.two_writers,
    "evil-bundle": models.evil,
    "endless-model": models.endless,
    "no-number": models.no_number,
    "endless-heads": streams.endless_heads,
    "revoked": streams.revoked,
    "tables": hostile.tables,
    "messages": hostile.messages,
    "places": hostile.places,
    "cards": hostile.cards,
    "policy": hostile.policies,
    "training": hostile.trainings,
}


_COLUMNS: Final = (
    "fault",
    "what was done",
    "answered",
    "degraded",
    "broken off",
    "refused",
    "in ledger",
    "twice",
    "lost",
    "noticed by",
    "recovered after s",
    "verdict",
)


def main() -> int:
    """Run the faults and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", choices=sorted(FAULTS), help="this fault, and others named so"
    )
    chosen = parser.parse_args().only or list(FAULTS)
    console = Console(width=180)
    table = Table(*_COLUMNS)
    wrong: list[str] = []
    with TemporaryDirectory(prefix="shroff-faults-") as folder:
        bundle = Path(folder) / "served-by-all"
        save(make_bundle(fitted_model()), bundle)
        for name in chosen:
            try:
                found = FAULTS[name](Place(folder=Path(folder) / name, bundle=bundle))
            except LookupError as error:
                table.add_row(name, f"not run: {error}", *[""] * 9, "not run")
                continue
            table.add_row(*_cells(found))
            wrong += [f"{found.fault}: {sentence}" for sentence in found.wrong]
            failed = not found.holds
            console.print(
                f"{found.fault}: {'wrong' if failed else 'holds'}",
                style="red" if failed else "green",
            )
            if failed and not found.wrong:
                wrong.append(f"{found.fault}: {found.lost} lost, {found.twice} twice")
    console.print(table)
    for sentence in wrong:
        console.print(sentence, markup=False)
    return 1 if wrong else 0


def _cells(found: Verdict) -> list[str]:
    told = (found.answered, found.degraded, found.interrupted, found.refused)
    figures = (*told, found.recorded, found.twice, found.lost)
    ends = (found.noticed or "nothing", f"{found.without:.1f}", "holds" if found.holds else "wrong")
    return [found.fault, found.done, *(f"{figure:,}" for figure in figures), *ends]


if __name__ == "__main__":
    sys.exit(main())
