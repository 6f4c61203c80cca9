"""The command line: parse, call, print. No logic lives here.

Every command takes `--json` and then prints one JSON document on standard output and nothing else. Exit
codes: 0 done, 1 a check failed, 2 bad usage or bad input, with one sentence on standard error.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.table import Table

from shroff import __version__
from shroff.cli import keys, ledger, lists
from shroff.cli import models as published
from shroff.cli.consume import consume
from shroff.cli.terminal import AsJson, err, out, show, steps
from shroff.errors import CheckFailed, ShroffError
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.monitor import Parity

app = typer.Typer(
    name="shroff",
    help="Payment-fraud detection from a raw payment log to a live decision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ProjectPath = Annotated[Path, typer.Argument(help="A folder with project.py, or the file itself.", show_default=False)]
Data = Annotated[Path, typer.Option("--data", help="Payments: .csv, .csv.gz or .parquet.", show_default=False)]
Join = Annotated[Path | None, typer.Option("--join", help="A second table of statistics, joined on the payment id.")]
MaxBad = Annotated[float, typer.Option("--max-bad", help="Largest share of unusable rows accepted.", min=0, max=1)]


def _version(value: bool) -> None:
    if value:
        out.print(f"shroff {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Payment-fraud detection from a raw payment log to a live decision."""


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(help=".csv, .csv.gz or .parquet; a folder with --two-tables.")],
    payments: Annotated[int, typer.Option(help="How many payments, about.", min=1_000)] = 100_000,
    days: Annotated[int, typer.Option(help="Over how many days.", min=1)] = 90,
    fraud_rate: Annotated[float, typer.Option(help="Share of fraud, about.", min=0.001, max=0.2)] = 0.01,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    two_tables: Annotated[bool, typer.Option("--two-tables", help="Write facts.csv and statistics.csv.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a labelled payment log with five fraud patterns and what looks like fraud but is not."""
    from shroff.collect.simulate import simulate as make
    from shroff.collect.simulate import write

    with steps(quiet=as_json) as step:
        step(f"simulate {payments:,} payments")
        frame = make(payments, days=days, fraud_rate=fraud_rate, seed=seed)
        step(f"write {file}")
        if two_tables:
            from shroff.features.two_tables import write_two_tables

            write_two_tables(frame, file, seed=seed)
        else:
            write(frame, file)
    document = {"file": str(file), "payments": len(frame), "frauds": int(frame["is_fraud"].sum())}
    if as_json:
        show(document)
    else:
        out.print(f"{file}: {len(frame):,} payments, {document['frauds']:,} of them fraud.")


@app.command()
def collect(
    project: ProjectPath,
    data: Data,
    output: Annotated[Path, typer.Option("--out", help="The clean table (.parquet).", show_default=False)],
    join: Join = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Clean a raw table and write it as Parquet."""
    from shroff.collect import write_parquet
    from shroff.pipeline import collect_table
    from shroff.project import load_project

    with steps(quiet=as_json) as step:
        step(f"read and clean {data}")
        cleaned = collect_table(load_project(project), data, key=Settings.read().hmac_key(), join=join, max_bad=max_bad)
        step(f"write {output}")
        write_parquet(cleaned.frame, output)
    document = {
        "file": str(output),
        "rows": cleaned.rows,
        "kept": len(cleaned.frame),
        "dropped": cleaned.dropped,
    }
    if as_json:
        show(document)
    else:
        out.print(f"{output}: kept {len(cleaned.frame):,} of {cleaned.rows:,} rows.")
        _print_dropped(cleaned.dropped)


@app.command()
def features(
    project: ProjectPath,
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--out", help="Write one table (.parquet) instead of to the feature store.")
    ] = None,
    engine: Annotated[
        Literal["batch", "spark"],
        typer.Option(help="spark: --data is a clean table that `shroff collect` wrote, --out a new folder."),
    ] = "batch",
    master: Annotated[str | None, typer.Option(help="Where Spark runs, such as local[2] or yarn.")] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="What it may take, such as 8GB (SHROFF_MEMORY); a larger .parquet goes by disk, with --out."),
    ] = None,
    join: Join = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compute a project's features over a raw table; each group becomes a version in the feature store."""
    from dataclasses import replace
    from time import perf_counter

    from shroff.errors import ConfigurationError
    from shroff.features.engines.batch import compute_plan
    from shroff.pipeline import collect_table, features_by_disk, is_large, keep_features
    from shroff.project import load_project

    settings = Settings.read() if memory is None else replace(Settings.read(), memory=memory)
    with steps(quiet=as_json) as step:
        plan = (loaded := load_project(project)).plan
        if engine == "spark":
            from shroff.features.engines.spark import features_job

            if output is None:
                raise ConfigurationError("expected a folder to write to with --engine spark: pass --out.")
            step("compute features on Spark")
            started = perf_counter()
            payments = features_job(plan, str(data), str(output), master=master)
            seconds, places = perf_counter() - started, [str(output)]
        elif output is not None and is_large(loaded, data, memory=settings.memory_bytes()):
            started, key, room = perf_counter(), settings.hmac_key(), settings.memory_bytes()
            payments = features_by_disk(loaded, data, output, key=key, memory=room, max_bad=max_bad, progress=step)
            seconds, places = perf_counter() - started, [str(output)]
        else:
            step(f"read and clean {data}")
            cleaned = collect_table(loaded, data, key=settings.hmac_key(), join=join, max_bad=max_bad)
            step("compute features")
            started = perf_counter()
            table = compute_plan(plan, cleaned.frame)
            payments, seconds = len(table), perf_counter() - started
            step(f"write {output or settings.store}")
            places = keep_features(loaded, table, output or settings.store)
    document = {"written": places, "payments": payments, "features": plan.names, "seconds": seconds}
    if as_json:
        show(document)
    else:
        out.print(f"{len(plan.names)} features of {payments:,} payments in {seconds:.1f} s.")
        for place in places:
            out.print(f"written: {place}")


@app.command()
def train(
    project: ProjectPath,
    data: Data,
    split: Annotated[
        str | None,
        typer.Option(help="time:70/30, time:START/TRAIN/DELAY/TEST in days, or random:70/30.", show_default=False),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Package the best detector here.", show_default=False)] = None,
    tune: Annotated[int, typer.Option(help="Parameters to try per detector; a stopped search goes on.", min=0)] = 0,
    doctor: Annotated[
        Literal["quick", "full"], typer.Option(help="full: fit each detector once more, with another seed.")
    ] = "quick",
    accept: Annotated[
        list[str] | None, typer.Option(help="Package despite what this check of the doctor found; repeatable.")
    ] = None,
    join: Join = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Train, compare and examine a project's detectors; with --bundle, package the best one if it is sound.

    Exit code 1 when the doctor's findings kept it from being packaged.
    """
    from shroff.evaluate.report import comparison, findings
    from shroff.experiment.doctor import accepted
    from shroff.pipeline import collect_table, package, summary, train_models
    from shroff.project import load_project

    refused: CheckFailed | None = None
    with steps(quiet=as_json) as step:
        allowed = accepted(accept or ())
        loaded = load_project(project)
        step(f"read and clean {data}")
        settings = Settings.read()
        cleaned = collect_table(loaded, data, key=settings.hmac_key(), join=join, max_bad=max_bad)
        storage = settings.home / "tuning.db" if tune else None
        run = train_models(
            loaded,
            cleaned.frame,
            split=split,
            tune=tune,
            storage=storage,
            thorough=doctor == "full",
            progress=step,
        )
        packaged = None
        if bundle is not None:
            step(f"package {run.best.name}")
            try:
                packaged = package(loaded, run, bundle, accept=allowed)
            except CheckFailed as error:
                refused = error
    document = summary(run) | {"dropped": cleaned.dropped}
    if packaged is not None:
        document["bundle"] = {"folder": str(packaged.folder), "version": packaged.bundle.version}
    if as_json:
        show(document)
    else:
        _print_dropped(cleaned.dropped)
        out.print(comparison({trained.name: (trained.train, trained.test) for trained in run.trained}))
        for trained in run.trained:
            if trained.tuning is not None:
                out.print(f"Tuned {trained.name}: {trained.tuning.parameters}", soft_wrap=True)
        out.print(findings({"data": run.findings} | {one.name: one.findings for one in run.trained}))
        out.print(f"Best on held-out training rows: {run.best.name}.")
        if packaged is not None:
            out.print(f"Packaged as {packaged.folder}, version {packaged.bundle.version}.")
    if refused is not None:
        raise refused


@app.command()
def report(
    bundle: Annotated[Path, typer.Argument(help="A bundle.", show_default=False)], as_json: AsJson = False
) -> None:
    """Print what a bundle holds, how its detectors compared and what the doctor found."""
    from shroff.detect.checks import Finding
    from shroff.evaluate.metrics import Metrics
    from shroff.evaluate.report import comparison, confusion, findings
    from shroff.package import load

    loaded = load(bundle)
    document = {"name": loaded.name, "version": loaded.version, "fingerprint": loaded.fingerprint, **loaded.metrics}
    if as_json:
        show(document)
        return
    figures = {
        name: (Metrics(**entry["train"]), Metrics(**entry["test"]))
        for name, entry in loaded.metrics["detectors"].items()
    }
    out.print(f"{loaded.name}, version {loaded.version}, trained on data {loaded.fingerprint[:12]}")
    out.print(comparison(figures))
    out.print(confusion(figures[loaded.name][1]))
    subjects = {"data": loaded.metrics} | loaded.metrics["detectors"]
    out.print(
        findings({name: [Finding(**one) for one in entry.get("findings", ())] for name, entry in subjects.items()})
    )
    for name in loaded.metrics.get("accepted", ()):
        out.print(f"Packaged despite the check {name}.")


@app.command()
def serve(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="A bundle; by default what `shroff publish` put into production.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8080,
    warm: Annotated[
        Path | None, typer.Option(help="History to start from: .csv, .csv.gz or .parquet.", show_default=False)
    ] = None,
    lateness: Annotated[str, typer.Option(help="How much older than the newest a payment may be.")] = "1d",
    max_bad: MaxBad = 0.01,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Answer anybody who can reach the port: for trying out only.")
    ] = False,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Certificate chain for TLS (.pem).", show_default=False)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (.pem).", show_default=False)] = None,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(help="The log on standard error: readable, or one JSON object a line."),
    ] = "text",
    workers: Annotated[
        int, typer.Option(help="Processes; several need SHROFF_STATE=redis://… and a PostgreSQL ledger.", min=1)
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Answer payments over HTTP with the decisions of a bundle."""
    from shroff.serve.server import Certificate
    from shroff.serve.server import serve as run
    from shroff.serve.telemetry.log import say_listening, write_log

    write_log(log)

    def listening(url: str) -> None:
        if as_json:
            show({"url": url, "ready": f"{url}/health/ready"})
            sys.stdout.flush()
        if log == "json":
            say_listening(url)
        elif not as_json:
            err.print(f"shroff listens on {url}; ready when {url}/health/ready says so.", soft_wrap=True)

    run(
        bundle,
        host=host,
        port=port,
        warm=warm,
        max_bad=max_bad,
        lateness=lateness,
        settings=Settings.read(),
        keys=not without_keys,
        tls=None if tls_certificate is None else Certificate(tls_certificate, tls_key),
        workers=workers,
        log=log,
        listening=listening,
    )


@app.command()
def loadtest(
    url: Annotated[str, typer.Argument(help="The service, such as http://127.0.0.1:8080.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Payments to send: .csv, .csv.gz, .parquet; else simulated ones.", show_default=False
        ),
    ] = None,
    requests: Annotated[int, typer.Option(help="How many payments.", min=1)] = 20_000,
    parallel: Annotated[int, typer.Option(help="Connections at once.", min=1)] = 22,
    sequential: Annotated[bool, typer.Option("--sequential", help="One by one.")] = False,
    rate: Annotated[float | None, typer.Option(help="Payments a second, due at fixed times (open loop).")] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Print a histogram.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send payments to a service and print how long its answers took; exit code 1 when any failed."""
    from secrets import token_hex

    from shroff.loadtest import payments_from, run_load

    with steps(quiet=as_json) as step:
        step(f"read {data or 'simulated payments'}")
        bodies = payments_from(url, data, requests=requests, run=f"{token_hex(4)}-")
        step(f"send {len(bodies):,} payments")
        key = Settings.read().api_key or None
        result = run_load(url, bodies, key=key, parallel=1 if sequential else parallel, rate=rate)
    summary = result.summary()
    if as_json:
        show(summary | ({"histogram": result.histogram()} if plot else {}))
    else:
        table = Table(*(name.replace("_", " ") for name in summary if name != "failures"))
        table.add_row(
            *(f"{v:,.2f}" if isinstance(v, float) else f"{v:,}" for v in summary.values() if not isinstance(v, dict))
        )
        out.print(table)
        for kind, failed in result.failures.items():
            err.print(f"failed with {kind}: {failed:,}; first: {result.first.get(kind, 'no answer')}", markup=False)
        for low, high, answers in result.histogram() if plot else ():
            bar = "█" * round(60 * answers / len(result.milliseconds))
            out.print(f"{low:9.2f} – {high:9.2f} ms {answers:8,} {bar}", highlight=False)
    raise typer.Exit(1 if result.failed else 0)


@app.command()
def parity(
    project: Annotated[Path, typer.Argument(help="A project, or with --ledger a bundle.", show_default=False)],
    data: Annotated[
        Path | None, typer.Option("--data", help="Payments: .csv, .csv.gz or .parquet.", show_default=False)
    ] = None,
    payments: Annotated[int | None, typer.Option(help="Only the first so many to arrive.", min=1)] = None,
    spark: Annotated[
        str | None, typer.Option(help="Ask Spark too, there: such as local[2].", show_default=False)
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Recompute the ledger's decisions; --data is the --warm history.")
    ] = False,
    join: Join = None,
    max_bad: MaxBad = 0.01,
    as_json: AsJson = False,
) -> None:
    """Compute features in batch and by the other engines, and compare to the bit; exit code 1 on a difference.

    Payments one at a time in memory, in Redis where SHROFF_STATE names a server, and on Spark where asked.
    """
    from dataclasses import asdict

    from shroff.errors import ConfigurationError
    from shroff.monitor import engine_parity, ledger_parity
    from shroff.package import load
    from shroff.pipeline import collect_table
    from shroff.project import load_project
    from shroff.serve.ledger import Ledger
    from shroff.serve.server import history_of

    settings = Settings.read()
    if data is None and not ledger:
        raise ConfigurationError("expected payments with --data FILE, or --ledger with a bundle.")
    with steps(quiet=as_json) as step:
        if ledger:
            bundle = load(project)
            step(f"recompute the decisions of {settings.ledger}")
            history = None if data is None else history_of(bundle, data, settings.hmac_key(), max_bad)
            found = [ledger_parity(bundle, Ledger(settings.ledger).entries(), history=history)]
        elif data is not None:
            loaded = load_project(project)
            step(f"read and clean {data}")
            frame = collect_table(loaded, data, key=settings.hmac_key(), join=join, max_bad=max_bad).frame
            step("compute features by every engine")
            redis = None if settings.state == "memory" else settings.state
            found = engine_parity(loaded.features, frame[:payments], loaded.plan, redis=redis, spark=spark)
    holds = all(one.holds for one in found)
    if as_json:
        show({"holds": holds, "comparisons": [asdict(one) for one in found]})
    else:
        for one in found:
            _print_parity(one)
    raise typer.Exit(0 if holds else 1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to put everything.")] = Path("demo"),
    payments: Annotated[int, typer.Option(help="How many payments to simulate.", min=20_000)] = 100_000,
    port: Annotated[int, typer.Option(help="Port of the service; 0: any free one.", min=0, max=65535)] = 0,
    keep: Annotated[
        bool | None, typer.Option("--keep/--no-keep", help="Keep the service running; by default on a terminal.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole path once: simulate, train, package, serve, decide."""
    from shroff.demo import run_demo

    with steps(quiet=as_json) as step:
        outcome = run_demo(folder, payments=payments, port=port, progress=step)
    stay = sys.stdin.isatty() if keep is None else keep
    try:
        if as_json:
            show(outcome.document)
        else:
            for part in outcome.parts:
                out.print(part)
            if not stay:
                out.print(f"The service has stopped. Start it again:\n{outcome.serve(8080)}", soft_wrap=True)
            out.print(f"Try it:\n{outcome.curl(None if stay else 8080)}", soft_wrap=True, highlight=False)
        if stay:
            err.print("The service runs until Ctrl-C.")
            outcome.server.wait()
    finally:
        outcome.stop()


for command in (published.publish, published.rollback, published.models, ledger.replay):
    app.command()(command)
app.add_typer(keys.app, name="keys")
app.add_typer(lists.app, name="lists")
app.add_typer(ledger.app, name="ledger")
app.command()(consume)


def _print_parity(found: Parity) -> None:
    table = Table("Feature", "equal", "different", title=f"{found.left} against {found.right}, to the bit")
    for name, different in found.different.items():
        table.add_row(name, f"{found.payments - different:,}", f"{different:,}")
    out.print(table)
    first = found.first
    if first is None:
        return
    out.print(
        f"First difference: payment {first.payment}, {first.feature} is {first.left} in {found.left} "
        f"and {first.right} in {found.right}.",
        soft_wrap=True,
    )
    if first.events is not None:
        out.print(f"In its window by the law: {', '.join(first.events) or 'nothing'}.", soft_wrap=True)


def _print_dropped(dropped: dict[str, int]) -> None:
    for reason, count in dropped.items():
        err.print(f"dropped {count:,} rows: {reason}")


def main() -> NoReturn:
    """Run the command line; errors become one sentence and an exit code."""
    try:
        app()
    except ShroffError as error:
        err.print(f"shroff: {error}", style="bold red", markup=False, soft_wrap=True)
        sys.exit(1 if isinstance(error, CheckFailed) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a user never meets a traceback
        crash = Path(".shroff") / "crash.log"
        crash.parent.mkdir(exist_ok=True)
        crash.write_text(traceback.format_exc())
        err.print(
            f"shroff: unexpected {type(error).__name__}; this is a defect of Shroff, its details are in {crash}.",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    sys.exit(0)
