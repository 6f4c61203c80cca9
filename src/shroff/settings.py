"""Infrastructure settings: the only place that reads the environment.

Definitions live in a project's Python file; where things run lives in `SHROFF_…` variables. An
unknown variable fails at start and lists the valid ones, so that a misspelt setting is never
silently ignored.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from shroff.errors import ConfigurationError, UnknownSetting, did_you_mean
from shroff.machine import most_bytes
from shroff.private import private_folder

PREFIX = "SHROFF_"
# read by test suites and benchmarks, never by the product
FOREIGN = ("SHROFF_TEST_", "SHROFF_BENCH_")
_OF_THE_IMPORT = "SHROFF_COMPILED"
"""Read before there are settings, by `shroff.speedups`."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where Shroff runs. Every field is set by `SHROFF_` and its upper-case name.

    >>> Settings.read({"SHROFF_HOME": "/var/lib/shroff"}).ledger
    'sqlite:////var/lib/shroff/ledger.db'
    >>> Settings.read({"SHROFF_LEDGR": "x"})
    Traceback (most recent call last):
    ...
    shroff.errors.UnknownSetting: unknown setting `SHROFF_LEDGR`: did you mean `SHROFF_LEDGER`? \
Valid settings: SHROFF_ALERT_MAIL, SHROFF_ALERT_SECRET, SHROFF_ALERT_WEBHOOK, SHROFF_API_KEY, \
SHROFF_AZUREML_ECHO, SHROFF_AZUREML_PROBABILITY_OF, \
SHROFF_AZUREML_RESULT, SHROFF_CONSENT, SHROFF_CONSOLE_OIDC, SHROFF_CONTROL, SHROFF_HOME, \
SHROFF_KAFKA, SHROFF_LEDGER, SHROFF_MEMORY, SHROFF_MODELS, SHROFF_PERSONAL_KEY, SHROFF_SERVICE, \
SHROFF_SNAPSHOT, SHROFF_SPOOL, SHROFF_SPOOL_SIZE, SHROFF_STATE, SHROFF_STORE, SHROFF_TRACKING, \
SHROFF_TRACKING_NAME.
    """

    home: Path = Path(".shroff")
    """Folder of everything this installation keeps: key, ledger, tables, models."""
    ledger: str = field(default="", repr=False)
    """Ledger database: `sqlite:///file` or `postgresql+psycopg://…`; default: a file in `home`."""
    consent: str = ""
    """What needs a second person's consent: `policy`, `lists` or `policy,lists`; default: none."""
    kafka: str = "localhost:9092"
    """Kafka's servers, `host:port,host:port`, or a file of librdkafka's `option=value` lines."""
    control: str = field(default="", repr=False)
    """URL of the database of keys and lists; default: in `home`, or the ledger's PostgreSQL."""
    console_oidc: str = field(default="", repr=False)
    """Where people of the console sign in: `https://CLIENT:SECRET@issuer?…` (docs/console.md)."""
    alert_webhook: str = field(default="", repr=False)
    """URL that alarms are posted to as CloudEvents, `https://…`; default: none."""
    alert_secret: str = field(default="", repr=False)
    """The secret that the webhook's events are signed with; at least 16 characters."""
    alert_mail: str = field(default="", repr=False)
    """Mail server of alarms: `smtp://user:password@host:587/?from=…&to=…`; default: none."""
    api_key: str = field(default="", repr=False)
    """The API key with which commands ask a service."""
    memory: str = ""
    """Memory for features, as `8GB`; default: half of what the machine or its control group has.
    Larger tables go by disk; a training that would take more is refused (default there: all that is
    free)."""
    models: Path = Path()
    """Folder of published models; default: a folder in `home`."""
    personal_key: str = field(default="", repr=False)
    """HMAC key over personal columns, at least 32 hexadecimal digits; default: made in `home`."""
    service: str = ""
    """URL of the service whose latency the console shows, asked with `api_key`; default: none."""
    snapshot: str = "15m"
    """How often a service keeps a snapshot of its state in memory, as `15m`; `0s`: never."""
    spool: Path = Path()
    """Local folder of the spool while a PostgreSQL ledger is away; default: in `home`."""
    spool_size: str = "64MB"
    """How much the spool of a process may take, such as `64MB`; `0MB` is no spool."""
    state: str = field(default="memory", repr=False)
    """The online engine's state: `memory` of each process, or `redis://host:6379/0` for all."""
    store: str = ""
    """Root of the feature store: a folder, `s3://…`, `abfss://…`, `gs://…`; default: in `home`."""
    tracking: str = field(default="", repr=False)
    """URL of MLflow, where runs and stages are mirrored: `https://…`, `sqlite:////file`."""
    tracking_name: str = ""
    """Name of MLflow's experiment and registered model; default: the project's, and `shroff`."""
    azureml_result: str = ""
    """Name of the table in Azure ML answers; default: from the name of the input."""
    azureml_echo: str = ""
    """Columns that Azure ML answers repeat, as `a,b`; default: those up to the payment's id."""
    azureml_probability_of: str = ""
    """Whether `Scored Probabilities` are of `fraud` (the default) or of `success`."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process.

        Raises:
            UnknownSetting: a `SHROFF_…` variable that is none of ours.
        """
        source = os.environ if environment is None else environment
        valid = {f"{PREFIX}{setting.name.upper()}" for setting in fields(cls)}
        given = {name: text for name, text in source.items() if name.startswith(PREFIX)}
        for name in given:
            if name not in {*valid, _OF_THE_IMPORT} and not name.startswith(FOREIGN):
                # the prefix is common to all: what makes names alike comes after it
                hint = did_you_mean(
                    name.removeprefix(PREFIX), (known.removeprefix(PREFIX) for known in valid)
                )
                hint = hint.replace("`", f"`{PREFIX}", 1) or "."
                raise UnknownSetting(
                    f"unknown setting `{name}`{hint} Valid settings: {', '.join(sorted(valid))}."
                )
        # a variable that is set to nothing is not set
        chosen: dict[str, Any] = {
            name.removeprefix(PREFIX).lower(): text
            for name, text in given.items()
            if name in valid and text
        }
        for name in ("home", "models", "spool"):
            if name in chosen:
                chosen[name] = Path(chosen[name])
        return cls(**chosen)

    def __post_init__(self) -> None:
        shared = self.ledger if self.ledger.startswith("postgresql") else ""
        usual = {
            "ledger": f"sqlite:///{self.home / 'ledger.db'}",
            "control": shared or f"sqlite:///{self.home / 'control.db'}",
            "store": str(self.home / "store"),
            "models": self.home / "models",
            "spool": self.home / "spool",
        }
        for name, value in usual.items():
            if getattr(self, name) in ("", Path()):
                # the way of a frozen dataclass to complete itself
                object.__setattr__(self, name, value)

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots of the state."""
        return self.home / "snapshots"

    def snapshot_seconds(self) -> int:
        """`snapshot` in seconds.

        Raises:
            ConfigurationError: it is no duration.

        >>> Settings(snapshot="2m").snapshot_seconds()
        120
        """
        match = re.fullmatch("([0-9]{1,6})([smh])", self.snapshot)
        if match is None:
            raise ConfigurationError(
                "expected SHROFF_SNAPSHOT to be a duration such as `15m`, or `0s`, got "
                f"`{self.snapshot}`."
            )
        return int(match[1]) * {"s": 1, "m": 60, "h": 3_600}[match[2]]

    def needs_consent(self, what: Literal["policy", "lists"]) -> bool:
        """Whether a change of the policy, or an edit of a list, needs a second person's consent.

        Raises:
            ConfigurationError: `consent` names something else.

        >>> Settings(consent="policy").needs_consent("lists")
        False
        """
        named = [one.strip() for one in self.consent.split(",")] if self.consent else []
        if not {*named} <= {"policy", "lists"}:
            raise ConfigurationError(
                "expected SHROFF_CONSENT to name `policy`, `lists` or both, as `policy,lists`, got "
                f"`{self.consent}`."
            )
        return what in named

    def memory_bytes(self) -> int:
        """`memory` in bytes.

        Raises:
            ConfigurationError: it is no size, or less than 512MB.

        >>> Settings(memory="8GB").memory_bytes()
        8000000000
        """
        if not self.memory:
            return most_bytes() // 2
        size = _size(self.memory)
        if size is None or size < 512 * 10**6:
            raise ConfigurationError(
                "expected SHROFF_MEMORY (--memory) to be a size from 512MB on, such as `8GB`, got "
                f"`{self.memory}`."
            )
        return size

    def spool_bytes(self) -> int:
        """`spool_size` in bytes.

        Raises:
            ConfigurationError: it is no size.

        >>> Settings(spool_size="1GB").spool_bytes()
        1000000000
        """
        size = _size(self.spool_size)
        if size is None:
            raise ConfigurationError(
                f"expected SHROFF_SPOOL_SIZE to be a size such as `64MB`, got `{self.spool_size}`."
            )
        return size

    def hmac_key(self) -> bytes:
        """The key of the HMAC over personal columns, made once and kept in `home` when none is set.

        Raises:
            ConfigurationError: the key is not hexadecimal or shorter than 128 bits, or `home`
                cannot keep one.
        """
        if self.personal_key:
            return _key(self.personal_key.encode(), "SHROFF_PERSONAL_KEY")
        path = self.home / "personal.key"
        try:
            if not path.exists():
                _make_key(path)
            return _key(path.read_bytes(), str(path))
        except OSError as error:
            raise ConfigurationError(
                f"expected a folder that can keep {path}, got: {error.strerror}; "
                "set SHROFF_HOME to another, or SHROFF_PERSONAL_KEY."
            ) from None


def home() -> Path:
    """The folder of `SHROFF_HOME`, also where another setting is wrong."""
    return Path(os.environ.get(f"{PREFIX}HOME") or Settings.home)


def _size(text: str) -> int | None:
    """The bytes of a text such as `64MB` or `8GB`; None when it is not of this form."""
    match = re.fullmatch("([0-9]{1,6})(MB|GB)", text)
    return int(match[1]) * (10**6 if match[2] == "MB" else 10**9) if match else None


def opentelemetry(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The `OTEL_…` variables that are set; OpenTelemetry's SDK reads them itself, here is seen
    whether it is wanted.

    >>> opentelemetry(
    ...     {"OTEL_SERVICE_NAME": "payments", "OTEL_TRACES_EXPORTER": "", "HOME": "/root"}
    ... )
    {'OTEL_SERVICE_NAME': 'payments'}
    """
    source = os.environ if environment is None else environment
    return {name: text for name, text in source.items() if name.startswith("OTEL_") and text}


def azure_connection(account: str, environment: Mapping[str, str] | None = None) -> str:
    """The connection string of a storage account, from the variables that Azure's own tools read.

    `AZURE_STORAGE_CONNECTION_STRING`, or `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN` of the
    account.

    Raises:
        ConfigurationError: none of them is set.

    >>> azure_connection("bank", {"AZURE_STORAGE_KEY": "a2V5"})
    'AccountName=bank;EndpointSuffix=core.windows.net;DefaultEndpointsProtocol=https;AccountKey=a2V5'
    """
    source = os.environ if environment is None else environment
    if whole := source.get("AZURE_STORAGE_CONNECTION_STRING"):
        return whole
    start = f"AccountName={account};EndpointSuffix=core.windows.net;DefaultEndpointsProtocol=https"
    if key := source.get("AZURE_STORAGE_KEY"):
        return f"{start};AccountKey={key}"
    if token := source.get("AZURE_STORAGE_SAS_TOKEN"):
        return f"{start};SharedAccessSignature={token.removeprefix('?')}"
    raise ConfigurationError(
        "expected the secret of the storage account in AZURE_STORAGE_CONNECTION_STRING, "
        "AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, found none of them set."
    )


def _make_key(path: Path) -> None:
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            # without its key the tokens of yesterday are those of nobody
            os.fsync(file.fileno())
        # of two processes that start together one makes the key, whole, and both read it
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)


def _key(text: bytes, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.decode("ascii"))
        got = f"{2 * len(key)} digits"
    except ValueError:
        key, got = b"", "something else"
    if len(key) < 16:
        raise ConfigurationError(
            f"expected at least 32 hexadecimal digits in {where}, got {got}; "
            "make a key with `python -c 'import secrets; print(secrets.token_hex(32))'`."
        )
    return key
