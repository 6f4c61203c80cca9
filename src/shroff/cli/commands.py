"""Which commands there are. Each is imported when it is run: all of them take longer than most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from typer import Typer
from typer.core import TyperGroup
from typer.main import get_group

COMMANDS: Final = {
    "init": (
        "init:init",
        "Write a project for a log from the log's own columns, each guess with its reason.",
    ),
    "simulate": (
        "data:simulate",
        "Make a labelled payment log with five fraud patterns and honest look-alikes.",
    ),
    "collect": (
        "data:collect",
        "Clean a raw table and write it as Parquet.",
    ),
    "features": (
        "features:features",
        "Compute a project's features over a raw table, and store them and the payments.",
    ),
    "train": (
        "training:train",
        "Train, compare and examine a project's detectors; with --bundle, package the best one if"
        " it is sound.",
    ),
    "report": (
        "training:report",
        "Report a run as text, or with --out as one HTML file; of a bundle, what it holds.",
    ),
    "card": (
        "card:card",
        "Write the model card of a run: what people declared, and what the records know.",
    ),
    "score": (
        "score:score",
        "Decide every payment of a log by a bundle, as a service would have.",
    ),
    "schemes": (
        "schemes:schemes",
        "Print a log's PSD2 fraud rates, which exemption thresholds they allow, and its VAMP "
        "ratio.",
    ),
    "package": (
        "package:package",
        "Write a bundle's model so that MLflow or TensorFlow Serving runs it without Shroff: "
        "features in, the probability of fraud out.",
    ),
    "publish": (
        "models:publish",
        "Put a bundle into production; services that follow the models use it within seconds, "
        "without a restart.",
    ),
    "backtest": (
        "backtest:backtest",
        "Replay a period through a whole policy as it would have been known then, beside the "
        "current one: decisions, money, alerts a day, who is newly caught or newly annoyed, and "
        "each rule.",
    ),
    "promote": (
        "promote:promote",
        "Promote a model if every gate lets it pass; exit code 1 if one refuses.",
    ),
    "retrain": (
        "retrain:retrain",
        "Learn again from the ledger, compare with the model in production, and register what "
        "came of it as the candidate; exit code 1 if the doctor or a gate refuses it.",
    ),
    "guard": (
        "retrain:guard",
        "Measure the model in production against guardrails since it came there, and roll it back"
        " if it breaches one; exit code 1 on a breach.",
    ),
    "rollback": (
        "models:rollback",
        "Put the previous model back into production.",
    ),
    "serve": (
        "service:serve",
        "Decide payments over HTTP by a bundle.",
    ),
    "consume": (
        "consume:consume",
        "Decide the payments of a Kafka topic; SHROFF_KAFKA says where Kafka is.",
    ),
    "console": (
        "console:console",
        "Show cases, payments, models, features, rules and lists in a browser, and act on them.",
    ),
    "loadtest": (
        "loadtest:loadtest",
        "Send payments to a service and print the times of its answers; exit code 1 if any failed.",
    ),
    "parity": (
        "parity:parity",
        "Compute features by batch and by the other engines, compare to the bit; exit code 1 on a"
        " difference.",
    ),
    "monitor": (
        "monitor:monitor",
        "Compare what a model decided with its training, and with the labels that came; exit code"
        " 1 on an alarm.",
    ),
    "replay": (
        "ledger:replay",
        "Replay a decision from the ledger and compare it to the bit; exit code 1 if it differs.",
    ),
    "demo": (
        "demo:demo",
        "Walk the whole path once: simulate, train, package, serve, decide; then look around.",
    ),
    "forget": (
        "forget:forget",
        "Forget a person: the keys of their records in the ledger are destroyed, and their rows "
        "in the store go. The chain still holds, and decisions on others can still be replayed.",
    ),
    "alerts": (
        "alerts:app",
        "Alarms of `shroff monitor --alerts`, and their delivery to a webhook and by mail.",
    ),
    "cases": (
        "case_commands:app",
        "Work on payments to review, grouped into cases: claim, decide, next.",
    ),
    "keys": (
        "keys:app",
        "Make, list and revoke the API keys of the service.",
    ),
    "lists": (
        "lists:app",
        "Show and edit the lists that rules read; services follow within seconds.",
    ),
    "policy": (
        "proposals:app",
        "Show, check, publish, propose and roll back the policy; services follow within seconds, "
        "without a restart.",
    ),
    "models": (
        "models:app",
        "List models by stage; `history` shows every change with its author and reason.",
    ),
    "rates": (
        "rates:app",
        "Show and replace the exchange rates that amounts are converted by; services follow "
        "within seconds.",
    ),
    "tables": (
        "tables:app",
        "Show and replace the reference tables that payments are looked up in; services follow "
        "within seconds.",
    ),
    "ledger": (
        "ledger:app",
        "Prove that the ledger was not changed, and copy it.",
    ),
    "store": (
        "store:app",
        "The feature store (SHROFF_STORE): groups and training datasets.",
    ),
    "embed": (
        "embed:app",
        "Vectors of tokens, learned from the histories of cards.",
    ),
    "runs": (
        "runs:app",
        "List, show and compare the recorded runs of `shroff train`; send one to MLflow.",
    ),
    "users": (
        "users:app",
        "Add, list and change the people who sign in to the console.",
    ),
}
"""By name: the module of `shroff.cli` and what it holds there, a function or a group's `Typer`, and
the first paragraph of its help.
"""


class _Group(TyperGroup):
    """A group whose help has the first paragraph of each command, whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command does."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.said()))

    def said(self) -> Iterator[tuple[str, str]]:
        """Each command, and what it does."""
        for name, command in self.commands.items():
            yield name, " ".join((command.help or "").split("\n\n")[0].split())


class _Imported(Mapping[str, Any]):
    """The commands by name, imported when they are taken."""

    def __getitem__(self, name: str) -> Any:
        module, member = COMMANDS[name][0].split(":")
        found = getattr(import_module(f"shroff.cli.{module}"), member)
        # plain help: Rich takes longer to import than the rest of it to run
        alone = Typer(add_completion=False, rich_markup_mode=None)
        if isinstance(found, Typer):
            alone.add_typer(found, name=name, cls=_Group)
        else:
            alone.command(name)(found)
        return get_group(alone).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(_Group):
    """The group of all commands; what each does is written without importing it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": _Imported()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(self.commands)

    def said(self) -> Iterator[tuple[str, str]]:
        """Each command, and what it does."""
        return ((name, does) for name, (_, does) in COMMANDS.items())
