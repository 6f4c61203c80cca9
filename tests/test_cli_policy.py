"""`shroff policy`, `publish`, `rollback`, `models`: what decides, changed by hand, and who did it
and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from decide.test_choice import drawn
from decide.test_standing import OPEN, held_out
from serve.fixtures import POLICY, fitted_model, make_bundle
from shroff import Policy, Rule
from shroff.cli import app
from shroff.decide.choice import choose, chosen_fields
from shroff.errors import ConfigurationError, ShroffError
from shroff.experiment import Runs
from shroff.package import load, save

Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs a command with `--json`: its document, or the error it raised."""
    for name, value in {"SHROFF_HOME": str(tmp_path / "home"), "LOGNAME": "ada"}.items():
        monkeypatch.setenv(name, value)

    def run(*words: str | Path) -> Any:
        done = CliRunner().invoke(app, [*map(str, words), "--json"])
        if isinstance(done.exception, ShroffError):
            return done.exception
        assert done.exit_code == 0, done.output
        plain = (
            CliRunner().invoke(app, [*map(str, words)])
            if words[-1] in ("show", "history", "models")
            else None
        )
        assert plain is None or plain.exit_code == 0
        return json.loads(done.stdout)

    return run


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    chosen = held_out().thresholds(POLICY.cost, POLICY.reviews_per_day)
    own = OPEN.with_thresholds(chosen.review_at, chosen.decline_at)
    policy = msgspec.to_builtins(own)
    save(
        make_bundle(
            fitted_model(), currency="EUR", held_out=held_out(), policy=policy, chosen=OPEN.open
        ),
        tmp_path / "bundle",
    )
    return tmp_path / "bundle"


def written(path: Path, policy: Policy | dict[str, Any]) -> Path:
    path.write_bytes(msgspec.json.encode(policy))
    return path


def test_a_model_is_published_again_by_its_version(ask: Ask, bundle: Path) -> None:
    version = ask("publish", bundle)["version"]
    assert ask("publish", version, "--note", "again")["version"] == version
    unknown = str(ask("publish", "none"))
    assert "none: no folder, no version that was published or that a run packaged, and" in unknown


def test_a_model_in_research_is_published_by_its_version(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    version = load(bundle).version
    with Runs(tmp_path / "home" / "runs").begin({}, {}) as recording:
        recording.bundle = {"folder": str(bundle), "version": version, "content": "0"}
    (listed,) = ask("models")["stages"]
    assert (listed["version"], listed["stage"]) == (version, "research")
    assert ask("publish", version)["version"] == version


def test_a_policy_goes_out_and_comes_back_as_it_is_shown(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    assert "no model is in production" in str(ask("policy", "show"))
    version = ask("publish", bundle, "--note", "the first")["version"]
    shown = ask("policy", "show")
    assert (shown["version"], shown["chosen"]) == (version, ["review_at", "decline_at"])
    assert shown["policy"]["review_at"] is None, "it is chosen again when a cost changes"
    same = written(tmp_path / "same.json", shown)
    assert ask("policy", "diff", same) == {"changes": []}
    assert ask("policy", "publish", same)["version"] == version
    shown["policy"]["reviews_per_day"] = 0
    nobody = written(tmp_path / "nobody.json", shown)
    changes = {one["field"]: one for one in ask("policy", "diff", nobody)["changes"]}
    assert "none" in changes["reviews a day"].values(), "no share of the days has 0 reviews"
    shown["policy"]["reviews_per_day"] = 1
    changed = written(tmp_path / "changed.json", shown)
    fields = [change["field"] for change in ask("policy", "diff", changed)["changes"]]
    assert "reviews a day" in fields
    assert {"review_at", "decline_at"} & set(fields)
    checked = ask("policy", "check", changed)
    assert ask("policy", "show")["version"] == version, "a check changes nothing"
    published = ask("policy", "publish", changed, "--note", "holidays")
    assert published == checked | {"version": published["version"]}
    assert ask("policy", "show", version)["policy"]["reviews_per_day"] is None
    assert ask("policy", "rollback", "--note", "back at work")["version"] == version
    told = [
        (row["action"], row["policy"], row["by"], row["note"])
        for row in ask("policy", "history")["changes"]
    ]
    assert told == [
        ("publish", published["version"], "ada", "holidays"),
        ("rollback", None, "ada", "back at work"),
    ]
    assert "the model's own" in CliRunner().invoke(app, ["policy", "history"]).stdout
    assert "rollback policy the model's own" in CliRunner().invoke(app, ["models"]).stdout
    assert ask("models")["changes"] == ask("models", "history")["changes"]
    assert [change["note"] for change in ask("models")["changes"]] == [
        "the first",
        "holidays",
        "back at work",
    ]


def test_a_policy_comes_from_a_project_and_brings_its_lists(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    ask("publish", bundle)
    (tmp_path / "project.py").write_text(
        "from shroff import Policy, Project, Rule, Schema\nschema = Schema(id='payment_id', "
        "time='created_at', amount='amount', nominal=['mcc'])\npolicy = "
        "Policy(rules=[Rule('cash', 'mcc IN codes')], lists={'codes': ['6011']}, "
        "review_at=0.4)\nproject = Project(schema=schema, policy=policy)\n"
    )
    assert ask("policy", "publish", tmp_path)["chosen"] == ["decline_at"]
    assert ask("lists", "show") == {"lists": {"codes": ["6011"]}}
    assert ask("lists", "add", "codes", "5411")["by"] == "ada"
    shown = CliRunner().invoke(app, ["policy", "show"]).output
    assert "list codes, before its edits: 6011" in shown
    assert "no list `blocked`" in str(ask("lists", "add", "blocked", "10.0.0.1"))
    assert "no card number" in str(ask("lists", "add", "codes", "4111 1111 1111 1111"))
    assert ask("lists", "remove", "codes", "4111 1111 1111 1111")["action"] == "remove"
    (tmp_path / "codes.csv").write_text("mcc\n5411\n7995\n")
    added = ask("lists", "import", "codes", tmp_path / "codes.csv", "--column", "mcc")
    assert added == {"added": 1, "there": 1, "repeated": 0, "blank": 0}
    mail = "mail: email IN codes -> decline"
    assert ask("policy", "propose", "--rule", mail)["stage"] == "draft"
    named = "mail: LOWER(email) = 'a@b.example' -> decline"
    assert "holds keyed hashes" in str(ask("policy", "propose", "--rule", named))
    assert ask("lists", "show", "--bundle", bundle) == {"lists": {"blocked": ["10.6.6.6"]}}
    ask("policy", "rollback")
    assert ask("lists", "show") == {"lists": {"blocked": ["10.6.6.6"]}}


def test_what_does_not_fit_is_refused_with_a_sentence(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    ask("publish", bundle)
    misfit = written(
        tmp_path / "misfit.json",
        msgspec.structs.replace(OPEN, rules=[Rule("r", "card_cont_1d > 3")]),
    )
    for verb in ("check", "diff", "publish"):
        refused = ask("policy", verb, misfit)
        assert isinstance(refused, ConfigurationError)
        assert "did you mean `card_count_1d`?" in str(refused)
    assert "cannot be read" in str(ask("policy", "check", tmp_path / "none.json"))
    assert "no published policy" in str(ask("policy", "show", "20240101T000000Z-00000000"))
    assert "no earlier policy" in str(ask("policy", "rollback"))


def test_a_model_of_another_schema_or_beside_an_unfit_policy_needs_a_word(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    ask("publish", bundle)
    rules = [Rule("many", "items > 9")]
    own = msgspec.to_builtins(POLICY)
    published = ask(
        "policy",
        "publish",
        written(tmp_path / "items.json", msgspec.structs.replace(POLICY, rules=rules)),
    )
    made = make_bundle(fitted_model(), policy=own)
    schema = msgspec.structs.replace(made.schema, numeric=["points"])
    save(make_bundle(fitted_model(), policy=own, schema=schema), tmp_path / "other")
    assert "numeric loses `items`" in str(ask("publish", tmp_path / "other"))
    unfit = str(ask("publish", tmp_path / "other", "--accept-schema"))
    assert "unknown column `items`" in unfit
    assert "--own-policy" in unfit
    after = ask(
        "publish", tmp_path / "other", "--accept-schema", "--own-policy", "--note", "new fields"
    )
    assert after["policy"] != published["version"]
    assert "numeric gains `items`" in str(ask("rollback"))
    assert ask("rollback", "--accept-schema", "--note", "not yet")["policy"] == after["policy"]
    assert ask("models", "history")["changes"][-1]["note"] == "not yet"


def test_names_and_figures_that_somebody_made_up_command_nothing(ask: Ask, tmp_path: Path) -> None:
    made = make_bundle(
        fitted_model(), name="[/a] good", metrics={"parts": [], "detectors": {"[/a] good": 3}}
    )
    save(made, tmp_path / "bundle")
    published = CliRunner().invoke(app, ["publish", str(tmp_path / "bundle")])
    assert published.exit_code == 0
    assert published.stdout.startswith("[/a] good, version ")
    assert ask("models")["versions"]
    assert "[/a] good" in CliRunner().invoke(app, ["models"]).stdout
    refused = CliRunner().invoke(app, ["report", str(tmp_path / "bundle")])
    assert "the figures are not as this release writes them" in str(refused.exception)


def test_a_policy_is_read_from_a_file_and_nothing_else(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    ask("publish", bundle)
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    assert "got a device" in str(ask("policy", "check", tmp_path / "endless.json"))
    (tmp_path / "twice.json").write_text('{"review_at": 0.1, "review_at": 0.9}')
    assert "`review_at` twice" in str(ask("policy", "check", tmp_path / "twice.json"))
    (tmp_path / "deep.json").write_text('{"rules": ' + "[" * 200_000)
    assert "nested too deeply" in str(ask("policy", "check", tmp_path / "deep.json"))


def test_thresholds_that_nobody_reaches_and_card_numbers_are_refused(
    ask: Ask, bundle: Path, tmp_path: Path
) -> None:
    ask("publish", bundle)
    before = ask("models")
    never = written(tmp_path / "never.json", {"review_at": 2, "decline_at": None})
    card = written(tmp_path / "card.json", {"lists": {"blocked": ["4111111111111111"]}})
    for command in ("check", "diff", "publish"):
        assert "above 0 and up to 1, got 2" in str(ask("policy", command, never))
        assert "no card number in the list `blocked`" in str(ask("policy", command, card))
    note = "stolen: 4111-1111-1111-1111"
    for words in (
        ("publish", bundle),
        ("rollback",),
        ("policy", "publish", never),
        ("policy", "rollback"),
        ("lists", "add", "blocked", "10.0.0.1"),
        ("lists", "remove", "blocked", "10.0.0.1"),
        ("rates", "reset"),
    ):
        refused = str(ask(*words, "--note", note))
        assert refused == "expected a note without a card number, got one: leave it out."
        refused = str(ask(*words, "--note", "to \u202eeno"))
        assert refused == (
            "expected a note of printable characters, got text with U+202E RIGHT-TO-LEFT OVERRIDE: "
            "write it without."
        )
    assert "a value of printable characters, got text with U+200B" in str(
        ask("lists", "add", "blocked", "10.0\u200b")
    )
    hidden = written(tmp_path / "hidden.json", {"lists": {"blocked": ["\u3164"]}})
    assert "each value of the list `blocked` of printable characters" in str(
        ask("policy", "publish", hidden)
    )
    assert ask("models") == before
    assert ask("lists", "history")["edits"] == []


def test_a_bundle_with_a_card_number_in_its_policy_is_not_published(
    ask: Ask, tmp_path: Path
) -> None:
    policy = {
        "rules": [{"name": "r", "condition": "host_id = '4111111111111111'"}],
        "review_at": 0.5,
        "decline_at": 0.9,
    }
    save(make_bundle(fitted_model(), policy=policy), tmp_path / "bundle")
    assert "the rule `r` without a card number" in str(ask("publish", tmp_path / "bundle"))


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            {"rules": [{"name": "r", "condition": "(" * 30_000 + "p" + ")" * 30_000}]},
            "at most 50,000 characters",
        ),
        (
            {"rules": [{"name": "r", "condition": "(" * 10_000 + "p" + ")" * 10_000}]},
            "deeper than 50 levels",
        ),
        (
            {"rules": [{"name": "r", "condition": f"mcc LIKE '{'%a' * 500_000}'"}]},
            "100,000 characters together",
        ),
        (
            {"rules": [{"name": str(n), "condition": "amount > 1"} for n in range(1_001)]},
            "at most 1,000 rules",
        ),
        ({"rules": [{"name": "r", "condition": "amount > 1"}] * 30_000}, "at most 1,000 rules"),
        ({"lists": {"blocked": ["(a+)+" * 200_000]}}, "at most 500 characters in `blocked`"),
    ],
)
def test_a_policy_of_megabytes_is_refused_at_once(
    ask: Ask, bundle: Path, tmp_path: Path, policy: dict[str, Any], sentence: str
) -> None:
    ask("publish", bundle)
    file = written(tmp_path / "large.json", policy)
    for command in ("check", "publish"):
        before = process_time()
        refused = str(ask("policy", command, file))
        assert sentence in refused
        assert len(refused) < 1_200
        assert process_time() - before < 10


def test_costs_and_capacity_are_changed_without_a_new_fit(ask: Ask, tmp_path: Path) -> None:
    held, daily = drawn()
    own = choose(OPEN, held, daily)
    policy, chosen = msgspec.to_builtins(own), chosen_fields(OPEN, own)
    save(
        make_bundle(
            fitted_model(),
            currency="EUR",
            held_out=held,
            daily=daily,
            policy=policy,
            chosen=chosen,
        ),
        tmp_path / "bundle",
    )
    ask("publish", tmp_path / "bundle")
    shown = ask("policy", "show")
    assert (shown["decide_by"], shown["review_price"]) == ("cost", 0.0)
    assert shown["policy"]["decide_by"] is None
    assert ask("policy", "diff", written(tmp_path / "same.json", shown)) == {"changes": []}
    shown["policy"]["reviews_per_day"] = 20
    changed = written(tmp_path / "changed.json", shown)
    fields = [change["field"] for change in ask("policy", "diff", changed)["changes"]]
    assert {"price of a review", "reviews a day"} <= set(fields)
    assert ask("policy", "publish", changed)["review_price"] > 0
    shown["policy"]["cost"] |= {
        "declined": 40.0,
        "miss_rate": 0.2,
        "challenge": {"passed": 0.1, "abandoned": 0.05},
    }
    dear = ask("policy", "publish", written(tmp_path / "dear.json", shown))
    assert dear["policy"]["cost"]["challenge"]["liable"] == 1.0
    shown["policy"]["decide_by"] = "thresholds"
    cuts = ask("policy", "publish", written(tmp_path / "cuts.json", shown))
    assert (cuts["decide_by"], cuts["review_price"]) == ("thresholds", None)
    ask("policy", "show")


def test_two_people_change_the_policy_and_a_list(
    ask: Ask, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("publish", bundle)
    monkeypatch.setenv("SHROFF_CONSENT", "policy,lists")
    same = written(tmp_path / "same.json", ask("policy", "show"))
    assert "shroff policy propose" in str(ask("policy", "publish", same))
    rule = "many: card_count_1d > 7 -> review"
    proposed = ask("policy", "propose", "--rule", rule, "--note", "cash out")
    assert proposed["changes"] == ["Add the rule `many` (review where card_count_1d > 7)."]
    assert ask("policy", "shadow", "1")["stage"] == "shadow"
    assert "a second person's consent, got ada" in str(ask("policy", "approve", "1"))
    listed = ask("lists", "add", "blocked", "10.1.1.1")
    assert (listed["stage"], ask("lists", "history")["edits"]) == ("draft", [])
    (tmp_path / "ring.csv").write_text("value\n10.1.1.2\n10.1.1.3\n10.1.1.4\n")
    several = ask("lists", "import", "blocked", tmp_path / "ring.csv", "--note", "ring")
    assert several["changes"] == ["Add `10.1.1.2` and 2 others to the list `blocked`."]
    assert several["values"] == ["10.1.1.2", "10.1.1.3", "10.1.1.4"]
    assert "    10.1.1.4\n" in CliRunner().invoke(app, ["policy", "proposals", "3"]).stdout
    monkeypatch.setenv("LOGNAME", "bob")
    assert ask("policy", "approve", "1")["result"] == ask("policy", "show")["version"]
    assert ask("policy", "approve", "2")["result"] == "1"
    assert ask("lists", "show")["lists"]["blocked"][-1] == "10.1.1.1"
    assert ask("policy", "approve", "3")["result"] == "4"
    ring = ask("lists", "history")["edits"][-1]
    assert (ring["value"], ring["by"], ring["note"]) == ("10.1.1.4", "ada, agreed by bob", "ring")
    told = CliRunner().invoke(app, ["policy", "proposals", "1"]).stdout
    assert "live by bob" in told
    assert "draft by ada: cash out" in told
    rows = ask("policy", "proposals")["proposals"]
    assert [(row["id"], row["stage"], row["by"]) for row in rows] == [
        (3, "live", "ada"),
        (2, "live", "ada"),
        (1, "live", "ada"),
    ]
    monkeypatch.setenv("SHROFF_CONSENT", "rules")
    assert "`policy`, `lists` or both" in str(ask("policy", "show"))
