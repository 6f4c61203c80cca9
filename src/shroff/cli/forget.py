"""`shroff forget`: a person's payments, or all of an age, become unreadable everywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shroff.cli.store import both_forms, bundles_of_logs, print_erasure
from shroff.cli.terminal import AsJson, operator, out, show, steps
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control import SubjectKeys
    from shroff.ledger import Keyring, Ledger
    from shroff.store.erase import Erasure

_FOLLOW_SECONDS: Final = 5.0
"""Seconds after which every service that is up has taken new keys: it reads them each second."""
_UNREACHED: Final = (
    "Out of reach, and yours to delete: logs and tables outside, such as that of `serve --warm`; "
    "exports; backups of the control database, which would bring the keys back."
)


def forget(
    subject: Annotated[
        str | None,
        typer.Argument(
            help="The value of the schema's subject, raw; `-` reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            help="Instead of one subject: all payments of months that ended so long ago, such as "
            "730d.",
            metavar="AGE",
            show_default=False,
        ),
    ] = None,
    without_trace: Annotated[
        bool,
        typer.Option(
            "--without-trace",
            help="Keep nothing nameless for others either: what counted them cannot be replayed.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a person: the keys of their records in the ledger are destroyed, and their rows in the
    store go. The chain still holds, and decisions on others can still be replayed.

    A ledger in SQLite has one writer: stop its service first.
    """
    from shroff.backtest.cache import clear
    from shroff.control import SubjectKeys
    from shroff.errors import ConfigurationError
    from shroff.ledger import Keyring, Ledger

    if (subject is None) == (older_than is None):
        raise ConfigurationError("expected a SUBJECT, or an age with --older-than.")
    settings = Settings.read()
    keys = SubjectKeys(settings.control)
    keyring = Keyring(settings.hmac_key(), keys.periods())
    if not keyring.ready:
        raise ConfigurationError(
            "nothing in the ledger is sealed: name the column that says whose a payment is, as "
            "Schema(subject='card_id'), and serve a bundle of it."
        )
    ledger = Ledger(
        settings.ledger, spool=settings.spool, spool_limit=settings.spool_bytes(), keyring=keyring
    )
    if not dry_run:
        clear(settings.home / "backtests")
    with steps(quiet=as_json) as step:
        if older_than is not None:
            _expire(keys, keyring, ledger, older_than, dry_run=dry_run, as_json=as_json)
            return
        subjects = both_forms(str(subject))
        step("look for the subject in the ledger")
        records = _forget(
            keys, keyring, ledger, subjects, traces=not without_trace, dry_run=dry_run
        )
        step("look for the subject in the store")
        stored = _from_store(keyring, subjects, dry_run=dry_run)
    if as_json:
        import msgspec

        show(
            {
                "records": records,
                "store": [msgspec.to_builtins(one) for one in stored],
                "bundles_of_logs": bundles_of_logs(),
                "forgotten": not dry_run,
            }
        )
        return
    would = "could" if dry_run else "can"
    for kind, count in records.items():
        out.print(f"{count:,} records of the kind {kind} {would} no longer be read.")
    if not records:
        out.print("Nobody with this value is in the ledger.")
    for one in stored:
        print_erasure(one, dry_run=dry_run)
    if records and not dry_run and not ledger.sole_writer:
        out.print("Stop and start the services: their state still counts these payments.")
    out.print(_UNREACHED, soft_wrap=True)


def _forget(
    keys: SubjectKeys,
    keyring: Keyring,
    ledger: Ledger,
    subjects: list[str],
    *,
    traces: bool,
    dry_run: bool,
) -> dict[str, int]:
    """Forget a subject in the ledger; returns how many records, by kind."""
    from shroff.clock import system_time
    from shroff.collect.times import iso_time
    from shroff.features.engines.online import is_shared
    from shroff.ledger.erasure import forget as forget_in
    from shroff.ledger.erasure import records_of, require_sealed

    found = records_of(ledger, subjects)
    require_sealed(found)
    if not found.sealed:
        # of a forgetting that was killed, the last step
        keys.scrub()
    if dry_run:
        return found.counts
    if not found.sealed:
        _from_cases(keyring, subjects, [])
        return found.counts
    with ledger:
        # first, because afterwards nobody knows which payments were theirs
        _from_cases(keyring, subjects, [entry.payment_id for entry in found.sealed])
        last = list(keyring.periods)[-1]
        keys.begin(last.subject, last.identifying, anew=True)
        keyring.take(keys.periods())
        if not ledger.sole_writer:
            time.sleep(_FOLLOW_SECONDS)
        now = system_time()
        counts = forget_in(
            ledger,
            subjects,
            destroy=keys.destroy,
            traces=traces,
            by=operator(),
            at=iso_time(now, "seconds"),
            arrived=now,
        ).counts
        if is_shared(Settings.read().state):
            # the state in Redis counts them: the next start fills another, and this one expires
            ledger.renew_identity()
        return counts


def _expire(
    keys: SubjectKeys,
    keyring: Keyring,
    ledger: Ledger,
    age: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Forget all payments of months that ended so long ago."""
    from shroff.clock import system_time
    from shroff.collect.times import iso_time
    from shroff.control.subject_keys import ended
    from shroff.features.window import micros
    from shroff.ledger.erasure import expire

    now = system_time()
    numbers = ended(list(keyring.periods), now - micros(age))
    records = 0
    if numbers and not dry_run:
        with ledger:
            at = iso_time(now, "seconds")
            records = expire(ledger, numbers, by=operator(), at=at, arrived=now)
            keys.expire(numbers)
    if as_json:
        show({"periods": numbers, "records": records, "forgotten": not dry_run})
    else:
        would = "would go" if dry_run else f"are gone, with {records:,} records"
        out.print(f"The keys of {len(numbers):,} periods {would}.")
        out.print(_UNREACHED, soft_wrap=True)


def _from_cases(keyring: Keyring, subjects: list[str], payment_ids: list[str]) -> None:
    """Forget a subject in the cases that people worked on."""
    from shroff.act import Desk

    desk = Desk(Settings.read().control)
    for column in {period.subject for period in keyring.periods}:
        desk.forget(column, subjects, payment_ids, operator())


def _from_store(keyring: Keyring, subjects: list[str], *, dry_run: bool) -> list[Erasure]:
    """Forget a subject in the store too, where it has their column."""
    from shroff.errors import NotFound
    from shroff.store import open_store

    erasures = []
    for column in {period.subject for period in keyring.periods}:
        try:
            erasures.append(open_store().forget(column, subjects, dry_run=dry_run))
        except NotFound:
            continue  # no group of the store has the column
    return erasures
