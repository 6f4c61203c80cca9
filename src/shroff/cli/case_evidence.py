"""`shroff cases narrative` and `shroff cases pack`: what is known of a case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import require_payments
from shroff.cli.cases import Number, open_desk
from shroff.cli.ledger import (
    DecidingBundle,
    WarmedHistory,
    WarmedLabels,
    WarmedMaxBad,
    say_lacking_history,
)
from shroff.cli.terminal import AsJson, operator, out, show, steps, visible
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.act import CaseEvidence
    from shroff.act.evidence import Replay
    from shroff.ledger import Ledger
    from shroff.monitor import Replayed


def narrative(number: Number, as_json: AsJson = False) -> None:
    """Tell a case in plain sentences: what was paid, what is unusual, who decided what."""
    from shroff.act import narrate

    settings = Settings.read()
    sentences = narrate(_gather(number, _ledger(settings), None))
    if as_json:
        show({"sentences": sentences})
    else:
        for one in sentences:
            out.print(visible(one), soft_wrap=True, highlight=False)


def pack(
    number: Number,
    to: Annotated[Path, typer.Option("--out", help="The ZIP file.", show_default=False)],
    bundle: DecidingBundle = None,
    data: WarmedHistory = None,
    labels: WarmedLabels = None,
    max_bad: WarmedMaxBad = 0.01,
    no_replay: Annotated[
        bool, typer.Option("--no-replay", help="Do not replay the decisions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the evidence of a case: payments, decisions, labels, steps and replays with their
    digests; the same case gives the same bytes.
    """
    from hashlib import sha256

    from shroff.act import zip_evidence
    from shroff.monitor import replayer

    settings = Settings.read()
    require_payments(data, labels)
    ledger = _ledger(settings)
    if not no_replay:
        say_lacking_history(ledger, data)
    with steps(quiet=as_json) as step:
        step(f"gather what is known of case {number}")
        again = (
            None if no_replay else replayer(settings, ledger, bundle, data, max_bad, labels=labels)
        )
        found = _gather(number, ledger, None if again is None else _replaying(again))
        content = zip_evidence(found)
    _write(to, content)
    digest = sha256(content).hexdigest()
    if as_json:
        show({"file": str(to), "bytes": len(content), "sha256": digest})
    else:
        out.print(f"{to}: {len(content):,} bytes, SHA-256 {digest}", soft_wrap=True)
        if found.replays:
            held = sum(one.holds is True for one in found.replays)
            out.print(f"{held:,} of {len(found.replays):,} decisions were replayed to the bit.")


def _replaying(again: Callable[[str], Replayed]) -> Replay:
    from shroff.act import DecisionReplay
    from shroff.errors import BundleError, NotFound

    def replay(payment_id: str) -> DecisionReplay:
        try:
            found = again(payment_id)
        except (NotFound, BundleError) as error:
            return DecisionReplay(payment_id=payment_id, holds=None, why=str(error))
        return DecisionReplay(
            payment_id=payment_id,
            holds=found.holds,
            model=found.model,
            policy=found.policy,
            differs=tuple(line.name for line in found.lines if not line.equal),
        )

    return replay


def _gather(number: int, ledger: Ledger, replay: Replay | None) -> CaseEvidence:
    from shroff.act import gather

    return gather(open_desk(), ledger, number, replay, viewer=operator())


def _ledger(settings: Settings) -> Ledger:
    from shroff.control import reading_keyring
    from shroff.ledger import Ledger

    return Ledger(settings.ledger, keyring=reading_keyring(settings.control))


def _write(file: Path, content: bytes) -> None:
    from shroff.errors import ConfigurationError
    from shroff.private import private_file

    try:
        private_file(file)
        file.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}.") from None
