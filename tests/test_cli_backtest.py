"""`shroff backtest`: a rule tried on a log, what is kept of it, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from browser import Browser
from commands import answer, run
from program import shroff
from serve.fixtures import BLIND_VELOCITY, POLICY, make_bundle
from shroff.backtest.cache import clear
from shroff.detect import Calibration
from shroff.errors import BadFile, ConfigurationError, ShroffError
from shroff.package import save

HEADER = (
    "payment_id,created_at,amount,currency,is_fraud,labelled_at,result,result_at,mcc,"
    "request_country,account_country,items,email,card_id,host_id,merchant_id,let\n"
)
BIG = "big: amount > 90 -> review"


@pytest.fixture(scope="module")
def home(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in production, and a log of 200 payments of 20 days with a control group."""
    home = tmp_path_factory.mktemp("backtest")
    bundle = make_bundle(
        model,
        currency="EUR",
        metrics={"split": "time:2024-01-01/5/1/60", "detectors": {}},
        policy=msgspec.to_builtins(POLICY),
    )
    save(bundle, home / "bundle")
    (home / "log.csv").write_text(
        HEADER
        + "".join(
            f"p{n},2024-02-{n // 10 + 1:02}T00:00:00Z,{n % 100 + 1},EUR,{int(n % 9 == 0)},,,,5411,"
            f"DK,DK,1,a@b.example,c{n % 50},h{n % 3},m,{0.5 if n % 20 == 9 else ''}\n"
            for n in range(200)
        )
    )
    run("publish", home / "bundle", home=home)
    return home


def test_a_rule_is_tried_on_a_log_and_again_from_what_was_kept(home: Path) -> None:
    words = ("backtest", "--data", home / "log.csv", "--label-delay", "3d")
    same = answer(*words, home=home)
    assert (same["moved"].keys(), same["saved"]["known"]) == ({"approve/approve"}, 0.0)
    assert [rule["name"] for rule in same["rules"] if rule["dead"]] == ["blocked_host"]
    (kept,) = (home / "backtests").glob("*.arrow")
    assert kept.stat().st_mode & 0o77 == 0
    made = kept.stat().st_mtime_ns
    found = answer(*words, "--rule", BIG, "--without", "blocked_host", home=home)
    (rule,) = found["rules"]
    assert kept.stat().st_mtime_ns == made
    matches = rule["matches"]
    assert (rule["name"], matches["payments"], matches["immature"]) == ("big", 20, 10)
    assert found["swap"]["newly_caught"]["payments"] == matches["frauds"] == rule["unique_catches"]
    assert found["payments"]["immature"] == 30
    review = found["replayed"]["decisions"]["review"]
    assert (review["payments"], found["replayed"]["daily"]["most_reviews"]) == (20, 10)
    clear(home / "backtests")
    assert not kept.exists()
    edited = answer(
        "backtest", "--data", home / "log.csv", "--rule", "big: amount > 95 -> review", home=home
    )
    assert edited["rules"][1]["matches"]["payments"] == 10


def test_a_log_without_labels_is_replayed_without_outcomes(
    home: Path, model: bytes, tmp_path: Path
) -> None:
    blind = make_bundle(model, currency="EUR", groups=(BLIND_VELOCITY,))
    save(blind, tmp_path / "bundle")
    log = pl.read_csv(home / "log.csv", infer_schema=False)
    log.drop("is_fraud", "labelled_at").write_csv(tmp_path / "log.csv")
    words = ("backtest", tmp_path / "bundle", "--data", tmp_path / "log.csv", "--rule", BIG)
    period = ("--from", "2024-02-02", "--label-delay", "0")
    said = " ".join(run(*words, *period, home=tmp_path).split())
    assert "there is no column `is_fraud`: these payments have no labels." in said
    assert "0 known frauds, 0 known to be genuine, 190 of unknown outcome" in said
    with pytest.raises(BadFile, match="expected a column `is_fraud`"):
        run("backtest", home / "bundle", *words[2:], home=home)


def test_labels_beside_a_log_that_say_nothing_of_it_are_told(home: Path) -> None:
    (home / "labels.csv").write_text(
        "payment_id,is_fraud,labelled_at\np1,1,2042-02-03T00:00:00Z\nq1,1,2024-02-03T00:00:00Z\n"
    )
    words = ("backtest", "--data", home / "log.csv", "--labels", home / "labels.csv")
    said = " ".join(run(*words, home=home).split())
    assert "1 of 2 labels arrive later than this machine's clock" in said
    assert "Note: labels left out," in said
    # nor do labels of 2042 say that those of all others have come in
    usual = answer("backtest", "--data", home / "log.csv", home=home)
    assert answer(*words, home=home)["mature_until"] == usual["mature_until"]


def test_it_says_in_words_and_on_a_page_what_it_found(home: Path) -> None:
    page = home / "page.html"
    words = ("backtest", home / "bundle", "--data", home / "log.csv", "--label-delay", "0")
    said = " ".join(run(*words, "--rule", BIG, "--out", page, home=home).split())
    assert "200 payments of" in said
    assert "Against the current policy newly caught: 3 " in said
    html = page.read_text()
    assert "newly annoyed" in html
    assert "<script" not in html
    limited = run(*words, "--from", "2024-02-03", "--to", "2024-02-05T00:00:00Z", home=home)
    assert limited.startswith("20 payments of")
    assert "Left out, out of the period: 180." in limited
    assert "out of the period" not in said


def test_the_page_is_read_in_any_window_and_runs_nothing(
    home: Path, browser: Browser, axe: str
) -> None:
    page, name = home / "hostile.html", "<img src=x onerror=document.title='run'>"
    rule = f"{name}: amount > 90 AND merchant_id <> '<script>document.title=1</script>' -> review"
    words = ("backtest", "--data", home / "log.csv", "--label-delay", "0", "--out", page)
    run(*words, "--rule", rule, home=home)
    browser.open("about:blank")
    browser.console()
    browser.requested()
    for width, scheme in ((360, "light"), (1280, "dark")):
        browser.emulate(width, 800, scheme=scheme)
        browser.open(page.as_uri())
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.run("return document.title") == "Shroff backtest"
        assert browser.barriers(axe) == []
    assert browser.console() == []
    assert {url.split(":")[0] for url in browser.requested()} <= {"file", "data"}
    text = browser.text("main")
    assert name in text, "a rule is shown as it was written"
    assert "merchant_id <> '<script>document.title=1</script>'" in text
    assert "2024-02-01 00:00 to 2024-02-20 00:00 UTC" in text
    assert "estimate" not in text, "a column that nothing fills is not there"
    unnamed = "e => !e.querySelector('caption') || !e.querySelector('tbody th[scope=row]')"
    assert not browser.run(
        f"return [...document.querySelectorAll('table')].filter({unnamed}).length"
    )


def test_the_card_is_that_of_the_project_and_asked_for_before_the_work(
    home: Path, model: bytes, tmp_path: Path
) -> None:
    metrics = {"split": "time:2024-01-01/5/1/60", "detectors": {}}
    parts: dict[str, Any] = {"currency": "EUR", "policy": msgspec.to_builtins(POLICY)}
    save(make_bundle(model, metrics={**metrics, "card": "host_id"}, **parts), tmp_path / "hosts")
    words = ("--data", home / "log.csv", "--label-delay", "0", "--rule", BIG)
    by_host = answer("backtest", tmp_path / "hosts", *words, home=home)
    by_card = answer("backtest", home / "bundle", *words, home=home)
    named = answer("backtest", home / "bundle", *words, "--card", "host_id", home=home)
    cards = [one["swap"]["newly_annoyed"]["cards"] for one in (by_host, named, by_card)]
    assert (cards[0], cards[1], cards[2] > 3) == (3, 3, True)
    clear(home / "backtests")
    with pytest.raises(ConfigurationError, match="name one with `--card COLUMN`"):
        run("backtest", "--data", home / "log.csv", "--card", "cards", home=home)
    assert not [*(home / "backtests").glob("*.arrow")], "nothing was computed for it"


def test_a_column_of_propensities_makes_an_estimate(home: Path, tmp_path: Path) -> None:
    log = pl.read_csv(home / "log.csv", infer_schema=False)
    hidden = pl.when(pl.int_range(pl.len()) % 40 != 9).then(pl.col("is_fraud"))
    log.with_columns(hidden.alias("is_fraud")).write_csv(tmp_path / "log.csv")
    words = ("backtest", "--data", tmp_path / "log.csv", "--label-delay", "0", "--rule", BIG)
    found = answer(*words, "--propensity", "let", home=home)
    assert found["payments"]["unknown"] == 5
    assert found["saved"]["estimate"]["control_group"] == 5
    assert answer(*words, home=home)["saved"]["estimate"] is None
    with pytest.raises(ConfigurationError, match="expected propensities above 0 and up to 1"):
        run(*words, "--propensity", "amount_twice", home=_twice(log, tmp_path, home))


def test_two_tables_are_joined_and_a_bundle_is_compared_with_another(
    home: Path, model: bytes, tmp_path: Path
) -> None:
    log = pl.read_csv(home / "log.csv", infer_schema=False)
    later = ["mcc", "items"]
    log.drop(later).write_csv(tmp_path / "facts.csv")
    log.select("payment_id", *later).reverse().write_csv(tmp_path / "statistics.csv")
    other = make_bundle(
        model,
        currency="EUR",
        created="20240105T000000Z",
        calibration=Calibration(1.0, 50.0),
        metrics={"split": "time:2024-01-01/5/1/60", "detectors": {}, "join": "payment_id"},
        policy=msgspec.to_builtins(POLICY),
    )
    save(other, tmp_path / "other")
    words: tuple[Path | str, ...] = ("backtest", "--label-delay", "0")
    mine = Path(shutil.copytree(home, tmp_path / "home"))
    whole = answer(*words, tmp_path / "other", "--data", home / "log.csv", home=mine)
    assert whole["moved"] == {"approve/decline": 200}, "the other declines everything"
    run("publish", tmp_path / "other", home=mine)
    joined = ("--data", tmp_path / "facts.csv", "--join", tmp_path / "statistics.csv")
    again = answer(*words, *joined, home=mine)
    alone = answer(*words, "--data", home / "log.csv", home=mine)
    assert {**again, "source": ""} == {**alone, "source": ""}
    kept = {one.name for one in (mine / "backtests").glob("*.arrow")}
    log.select("payment_id", *later).with_columns(mcc=pl.lit("5999")).write_csv(
        tmp_path / "statistics.csv"
    )
    answer(*words, *joined, home=mine)
    made = {one.name for one in (mine / "backtests").glob("*.arrow")} - kept
    assert len(made) == 1, "another second table"
    with pytest.raises(ConfigurationError, match="names no column to join"):
        run(*words, home / "bundle", *joined, home=home)
    with pytest.raises(ConfigurationError, match="the ledger has no table"):
        run(*words, "--ledger", "--join", tmp_path / "statistics.csv", home=home)


def _twice(log: pl.DataFrame, folder: Path, home: Path) -> Path:
    log.with_columns(pl.lit("2").alias("amount_twice")).write_csv(folder / "log.csv")
    return home


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "either `--data TABLE` or `--ledger`"),
        (("--data", "log.csv", "--ledger"), "either `--data TABLE` or `--ledger`"),
        (("--data", "log.csv", "--rule", "amount > 5"), "NAME: CONDITION -> ACTION"),
        (("--data", "log.csv", "--rule", "a: ammount > 5 -> review"), "did you mean `amount`"),
        (("--data", "log.csv", "--without", "blocked"), "did you mean `blocked_host`"),
        (("--data", "log.csv", "--from", "yesterday"), "--from: expected a day such as 2026-01-31"),
        (("--data", "log.csv", "--from", "2030-01-01"), "expected payments in the period"),
        (("--data", "log.csv", "--out", "page.pdf"), "ends in .html"),
        (("--data", "log.csv", "--card", "cards"), "expected a column that cards are told apart"),
    ],
)
def test_what_cannot_be_replayed_is_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(ShroffError, match=re.escape(sentence)):
        run("backtest", *words, home=home)


def test_an_endless_label_delay_is_refused(tmp_path: Path) -> None:
    for delay in ("inf", "nan", "1e300", "9999d", "a week"):
        done = shroff(tmp_path, "backtest", "--data", "log.csv", "--label-delay", delay)
        assert done.returncode == 2
        assert "Invalid value for '--label-delay'" in done.stderr
