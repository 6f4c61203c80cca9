"""`shroff forget`: a person's payments, or all of an age, become unreadable everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shroff.cli.store import bundles_of_logs, named, print_erasure
from shroff.cli.terminal import AsJson, operator, out, show, steps, visible
from shroff.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shroff.decisions import Forgetting
    from shroff.store.erase import Erasure

_PATIENCE_SECONDS: Final = 3_600.0
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
    url: Annotated[
        str | None,
        typer.Option(
            help="Let this service forget in its ledger while it runs; SHROFF_API_KEY has a key "
            "with the scope forget.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a person: the keys of their records in the ledger are destroyed, and their rows in the
    store go. The chain still holds, and decisions on others can still be replayed.

    A ledger in SQLite has one writer: while its service runs, give its --url.
    """
    from shroff.backtest.cache import clear
    from shroff.errors import ConfigurationError
    from shroff.index import IndexFile, forget_gone
    from shroff.state import remove_snapshots

    if (subject is None) == (older_than is None):
        raise ConfigurationError("expected a SUBJECT, or an age with --older-than.")
    settings = Settings.read()
    subjects = [] if subject is None else [named(subject)]
    with steps(quiet=as_json) as step:
        step("look through the ledger")
        asked = {"traces": not without_trace, "dry_run": dry_run}
        found = (
            _here(settings, subjects, older_than, **asked)
            if url is None
            else _there(url, settings, subjects, older_than, **asked)
        )
        if not dry_run:
            clear(settings.home / "backtests")
            remove_snapshots(settings.snapshots)
            forget_gone(IndexFile(settings.home / "index.db"), settings.control)
        step("look for the subject in the store")
        stored = [one for value in subjects for one in _from_store(found.columns, value, dry_run)]
    listed = _lists_with(settings, subjects)
    if as_json:
        show(_plain(found, stored) | {"lists": listed})
        return
    would = "could" if dry_run else "can"
    if older_than is not None:
        out.print(f"The keys of {len(found.periods):,} periods {would} no longer be used.")
    for kind, count in found.records.items():
        records = "record" if count == 1 else "records"
        out.print(f"{count:,} {records} of the kind {kind} {would} no longer be read.")
    if subjects and not found.records:
        out.print("Nobody with this value is in the ledger.")
    for one in stored:
        print_erasure(one, dry_run=dry_run)
    if listed:
        out.print(
            visible(
                f"Edits of lists, made or proposed, have this value, and stay: "
                f"{', '.join(listed)}. `shroff lists remove` takes it off; keep personal values as "
                "hashes (`--personal`)."
            ),
            soft_wrap=True,
            markup=False,
        )
    out.print(_UNREACHED, soft_wrap=True)


def _here(
    settings: Settings, subjects: Sequence[str], age: str | None, *, traces: bool, dry_run: bool
) -> Forgetting:
    """Forget in the ledger, as its writer."""
    from contextlib import nullcontext

    from shroff.act import Desk
    from shroff.control import SubjectKeys
    from shroff.ledger import Keyring, Ledger
    from shroff.scoring.forgetting import Eraser

    keys, key = SubjectKeys(settings.control), settings.hmac_key()
    keyring = Keyring(key, keys.periods())
    ledger = Ledger(
        settings.ledger, spool=settings.spool, spool_limit=settings.spool_bytes(), keyring=keyring
    )
    eraser = Eraser(
        ledger,
        keys,
        Desk(settings.control),
        secret=key,
        follow=lambda: keyring.take(keys.periods()),
    )
    with nullcontext() if dry_run or not keyring.ready else ledger:
        if age is not None:
            return eraser.expire(age, by=operator(), dry_run=dry_run)
        if dry_run:
            return eraser.count(subjects)
        erasure = eraser.begin(subjects, by=operator(), traces=traces)
        eraser.finish(erasure, by=operator())
        return eraser.done(erasure)


def _there(
    url: str,
    settings: Settings,
    subjects: Sequence[str],
    age: str | None,
    *,
    traces: bool,
    dry_run: bool,
) -> Forgetting:
    """Let a service forget."""
    from shroff.client import Client
    from shroff.errors import UnknownKey

    with Client(url, key=settings.api_key or None, timeout=_PATIENCE_SECONDS, retries=0) as client:
        try:
            return client.forget(subjects, older_than=age, trace=traces, dry_run=dry_run)
        except UnknownKey:
            got = "one that is not valid" if settings.api_key else "none"
            raise UnknownKey(
                "expected an API key with the scope `forget` in SHROFF_API_KEY, got "
                f"{got}: `shroff keys create NAME --scope forget` makes one."
            ) from None


def _from_store(columns: Sequence[str], value: str, dry_run: bool) -> list[Erasure]:
    """Forget a subject in the store too, where it has their column."""
    from shroff.collect.personal import forms
    from shroff.errors import NotFound
    from shroff.store import open_store

    erasures = []
    for column in columns:
        try:
            erasures.append(
                open_store().forget(
                    column, forms(value, Settings.read().hmac_key()), dry_run=dry_run
                )
            )
        except NotFound:
            continue  # no group of the store has the column
    return erasures


def _lists_with(settings: Settings, subjects: Sequence[str]) -> list[str]:
    """The lists that an edit put a subject on or a proposal would, in the open or as a hash."""
    from shroff.cli.proposals import proposals
    from shroff.collect.personal import forms
    from shroff.control import Lists

    if not subjects:
        return []
    key = settings.hmac_key()
    values = {form for one in subjects for form in forms(one, key)}
    edited = {one.name for one in Lists(settings.control).edits() if one.value in values}
    known = proposals()
    proposed = (one.edit for one in (*known.open(), *known.decided(None)))
    edited |= {one.name for one in proposed if one and not values.isdisjoint(one.values)}
    return sorted(edited)


def _plain(found: Forgetting, stored: Sequence[Erasure]) -> dict[str, Any]:
    import msgspec

    return {
        "records": found.records,
        "periods": found.periods,
        "store": [msgspec.to_builtins(one) for one in stored],
        "bundles_of_logs": bundles_of_logs(),
        "forgotten": found.forgotten,
    }
