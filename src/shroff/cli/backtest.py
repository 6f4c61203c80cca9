"""`shroff backtest`: what a policy, or a rule more, would have done over a period."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import (
    TABLE_FORMS,
    AddedRules,
    CardColumn,
    Join,
    LabelDelay,
    Labels,
    MaxBad,
    WithoutRules,
    table,
)
from shroff.cli.models import published
from shroff.cli.terminal import AsJson, Steps, out, print_rows, show, steps, typed_moment
from shroff.location import Location
from shroff.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shroff.backtest import Backtest, Past
    from shroff.decide.lists import Edit
    from shroff.promotion import Contender


def backtest(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="A bundle; default: the one in production.", show_default=False),
    ] = None,
    data: Annotated[
        Location | None,
        table("--data", f"Payments, with labels if there are any: {TABLE_FORMS}."),
    ] = None,
    join: Join = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="The payments that the service decided.")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="Another policy: a project, or a JSON file as `shroff policy show --json` prints.",
            show_default=False,
        ),
    ] = None,
    rule: AddedRules = None,
    without: WithoutRules = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The first moment, a date or ISO 8601; default: later than what the model "
            "learned from.",
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="The first moment that counts no more.", metavar="TIME", show_default=False
        ),
    ] = None,
    labels: Labels = None,
    propensity: Annotated[
        str | None,
        typer.Option(
            help="The column with the chance at which a payment was let through, of a control "
            "group.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    card: CardColumn = None,
    label_delay: LabelDelay = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", help="Write the report to a file (.html).", show_default=False),
    ] = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Replay a period through a whole policy as it would have been known then, beside the current
    one: decisions, money, alerts a day, who is newly caught or newly annoyed, and each rule.
    """
    from shroff.backtest import Side
    from shroff.backtest import backtest as replay
    from shroff.backtest.page import require_page, write
    from shroff.clock import system_time
    from shroff.collect.times import DAY_US
    from shroff.control import Lists
    from shroff.errors import ConfigurationError
    from shroff.package.trained import card_column, judged_from, usual_delay

    if (data is None) != ledger:
        raise ConfigurationError("expected payments: either `--data TABLE` or `--ledger`.")
    if join is not None and data is None:
        raise ConfigurationError(
            "expected `--data TABLE` beside `--join`: the ledger has no table."
        )
    if output is not None:
        require_page(output)
    settings = Settings.read()
    with steps(quiet=as_json) as step:
        step("read the bundle")
        current, replayed = _contenders(bundle, policy, rule or [], without or [])
        card = card_column(replayed.bundle, card)  # before minutes of features
        edits = Lists(settings.control).edits()
        first = judged_from(replayed.bundle) if since is None else typed_moment(since, "--from")
        last = None if to is None else typed_moment(to, "--to")
        delay = usual_delay(replayed.bundle) if label_delay is None else label_delay

        def side(one: Contender) -> Side:
            if data is None:
                past = _recorded(one, settings, edits, propensity, step)
                until = system_time()
            else:
                tables = (data, join, labels)
                past = _logged(one, tables, settings, edits, propensity, max_bad, step)
                until = past.until
            return Side(one, past.matured(until - int(delay * DAY_US)))

        new = side(replayed)
        same = replayed.bundle.digest == current.bundle.digest
        old = Side(current, new.past) if same else side(current)
        step("decide by both policies")
        found = replay(old, new, since=first, until=last, edits=edits, card=card)
    if output is not None:
        write(found, output)
    if as_json:
        show(found.to_dict())
    else:
        _print(found)


def _contenders(
    folder: Path | None, policy: Path | None, rules: Sequence[str], without: Sequence[str]
) -> tuple[Contender, Contender]:
    """What decides now, and what is replayed against it."""
    from shroff.backtest import rule_of, variant
    from shroff.cli.policy import read_policy
    from shroff.decide.standing import fit, own
    from shroff.package import load
    from shroff.promotion import Contender

    models = published()
    pointers = models.pointers
    bundle = models.production() if folder is None else load(folder)
    standing = models.policy_beside(bundle, pointers)
    current = (
        Contender(bundle, own(bundle))
        if pointers.production is None
        else Contender(*models.in_production())
    )
    if policy is not None or rules or without:
        asked = standing.given if policy is None else read_policy(policy)
        standing = fit(variant(asked, map(rule_of, rules), without), bundle)
    return current, Contender(bundle, standing)


def _logged(
    one: Contender,
    tables: tuple[Location, Location | None, Location | None],
    settings: Settings,
    edits: Sequence[Edit],
    propensity: str | None,
    max_bad: float,
    step: Steps,
) -> Past:
    from shroff.backtest import clean_log, past_of_log, replaced_by
    from shroff.backtest.cache import digest_of, file_of, kept
    from shroff.collect.label_table import LabelTable
    from shroff.control import StoredRates, StoredTables

    data, join, labels = tables
    key, bundle, lists = settings.hmac_key(), one.bundle, one.standing.policy.lists
    replaced = [
        each
        for store in (StoredRates(settings.control), StoredTables(settings.control))
        for each in replaced_by(store)
    ]

    def make() -> Past:
        step(f"compute features and probabilities of {data}")
        return past_of_log(
            bundle,
            clean_log(data, key, max_bad, join, spare_labels=None if labels is None else True),
            source=str(data),
            lists=lists,
            edits=edits,
            replaced=replaced,
            labels=None if labels is None else partial(LabelTable.read, labels),
            propensity=propensity,
        )

    files = [Path(str(each)) for each in tables if each is not None]
    if not all(file.is_file() for file in files):
        return make()  # a database or service has no digest
    step("look for what was computed before")
    name = digest_of(
        bundle.digest,
        [None if each is None else file_of(Path(str(each))) for each in tables],
        key.hex(),
        max_bad,
        propensity,
        [(each.made_at, each.name, each.table and each.table.mark) for each in replaced],
        [lists, edits] if bundle.conditions else None,
    )
    return kept(settings.home / "backtests", name, make)


def _recorded(
    one: Contender,
    settings: Settings,
    edits: Sequence[Edit],
    propensity: str | None,
    step: Steps,
) -> Past:
    from shroff.backtest import past_of_ledger
    from shroff.control import reading_keyring
    from shroff.errors import BundleError, NotFound
    from shroff.ledger import Ledger
    from shroff.package import Bundle

    bundle, models, lists = one.bundle, published(), one.standing.policy.lists
    ledger = Ledger(settings.ledger, keyring=reading_keyring(settings.control))

    def decided_by(version: str) -> Bundle | None:
        try:
            return models.load(version)
        except (NotFound, BundleError):
            return None

    step("read the ledger")
    # never kept on disk: what is forgotten in the ledger would be remembered there
    return past_of_ledger(
        bundle, ledger.entries(), decided_by, lists=lists, edits=edits, propensity=propensity
    )


def _print(found: Backtest) -> None:
    from shroff.backtest.words import money_table, rule_table, sentences, side_table, swap_table

    for sentence in sentences(found):
        out.print(sentence, soft_wrap=True, highlight=False, markup=False)
    for columns, rows in (
        side_table(found),
        money_table(found),
        swap_table(found),
        rule_table(found),
    ):
        if rows:
            print_rows(rows, *columns)
