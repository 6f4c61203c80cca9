"""The model card: complete or refused, the same in HTML and Markdown, whatever people wrote."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from shroff.cli import app
from shroff.errors import ConfigurationError, one_line
from shroff.experiment import RunRecord, Runs
from shroff.package import Bundle
from shroff.report import CardRecords, ModelCard, gaps, render_card
from shroff.report.parts import Bullets, Chapter, Facts, Grid, Paragraph, as_html, as_markdown

WHOLE = ModelCard(
    owner="Payments risk",
    contact="risk@bank.example",
    purpose="Whether a payment is approved, reviewed or declined.",
    uses=["Card payments of private customers"],
    not_for=["Credit decisions"],
    data="All card payments of 2024; <b>none</b> by invoice.",
    labels="Chargebacks and the calls of card holders, in 30 days.",
    limits=["New shops | `mcc` 5968"],
    monitoring="The fraud team, each week.",
    approvals=["2024-06-01, model risk committee"],
)
PROJECT = """
from shroff import ModelCard, Project, Schema
project = Project(schema=Schema(id="id", time="at", amount="amount"), model_card=ModelCard({}))
"""


class Seen(HTMLParser):
    """The text and the elements of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.text += "" if tag == "code" else " "

    def handle_data(self, data: str) -> None:
        self.text += data


def plain(text: str) -> str:
    return one_line(" ".join(text.split()))


@settings(max_examples=150)
@example("<script>alert(1)</script> [a](b) ![i](j) *e* | # h & &amp; $x$ ~~s~~")
@example("1. one")
@example("--- ")
@example("`a|b` c | d \\| e")
@example("` \\")
@given(st.text(max_size=40))
def test_any_text_is_text_in_both_forms(text: str) -> None:
    """No element comes of it but code between backticks, and all of it is there."""
    grid = Grid("c", (text,), [[text]])
    document = [Chapter(text, [Paragraph(text), Bullets([text]), Facts([(text, text)]), grid])]
    page = Seen(as_html("t", document))
    shown = Seen(MarkdownIt("commonmark").enable("table").render(as_markdown("t", document)))
    expected = plain(text)
    if expected.count("`") % 2 == 0:
        expected = expected.replace("`", "")
    frame = {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert page.tags <= frame | {"header", "section", "div", "dl", "dt", "dd", "caption"}
    assert shown.tags <= frame | {"strong"}
    expected = " ".join(expected.split())
    for one in (page, shown):
        assert not expected or " ".join(one.text.split()).count(expected) >= 7


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_a_card_says_what_people_declared_and_what_records_know(
    record: RunRecord, form: Any
) -> None:
    run = msgspec.structs.replace(record, bundle={"version": "v1", "content": "0" * 64})
    text = render_card(CardRecords(run=run, declared=WHOLE), form)
    page = Seen(text if form == "html" else MarkdownIt("commonmark").enable("table").render(text))
    for said in (
        "All card payments of 2024; <b>none</b> by invoice.",
        "New shops | mcc 5968",
        "amount > 5 | 1: review",
        "12 rows dropped: amount: expected a number, got text",
        "warning of the doctor, calibration: expected 1 < 2",
        "merchant: </script><b>Ann & Co</b>",
        "Genuine declined",
        "95 % interval",
        "Annex III, point 5(b)",
        "not high-risk by point 5(b)",
        *("Conceptual soundness: data", "Outcomes analysis", "Ongoing monitoring and rollback"),
        "No gate measured the model",
    ):
        assert said in " ".join(page.text.split()), said
    assert "Missing" not in page.text
    assert not page.tags & {"script", "b", "a", "img"}
    if form == "html":
        assert "default-src 'none'" in text
        assert "script-src" not in text
    assert "Parameters: n_trees 300." in page.text
    test = run.figures["detectors"]["boosted_trees"]["test"]
    low, high = run.evaluation["boosted_trees"].intervals["average_precision"]
    assert f"{test['average_precision']:.3f}" in page.text
    assert f"{low:.3f} to {high:.3f}" in page.text


def test_a_card_has_the_parameters_of_the_fit(record: RunRecord) -> None:
    """Those that were tuned, and of several detectors of a kind those of the best one."""
    best = "boosted_trees-2"
    one = record.figures["detectors"]["boosted_trees"]
    tuned = {**one, "tuning": {"parameters": {"n_trees": 723}}}
    second = {"name": "boosted_trees", "n_trees": 100, "max_depth": 9}
    run = msgspec.structs.replace(
        record,
        parameters={
            **record.parameters,
            "detectors": [*record.parameters["detectors"], second],
        },
        figures={
            **record.figures,
            "best": best,
            "detectors": {**record.figures["detectors"], best: tuned},
        },
        evaluation={**record.evaluation, best: record.evaluation["boosted_trees"]},
    )
    text = render_card(CardRecords(run=run, declared=WHOLE), "markdown")
    assert r"Parameters: n\_trees 723, max\_depth 9." in text


def test_a_card_says_what_a_challenge_is_taken_to_do(record: RunRecord) -> None:
    policy = record.parameters["policy"]
    challenge = {"passed": 0.125, "abandoned": 0.05, "liable": 0.0, "cost": 0.2}
    asked = {**policy, "cost": {**policy["cost"], "challenge": challenge}}
    run = msgspec.structs.replace(record, parameters={**record.parameters, "policy": asked})
    text = render_card(CardRecords(run=run, declared=WHOLE), "markdown")
    assert "a challenge 0.2: 12.5% of frauds pass it, of whose loss 0% stays here" in text
    assert "5.0% of genuine payments are given up" in text
    assert "| Way to decide | Reviews | Challenges | Declines | Cost |" in text
    assert "a challenge" not in render_card(CardRecords(run=record, declared=WHOLE), "markdown")


def test_every_gap_is_a_sentence_and_is_marked(record: RunRecord) -> None:
    for name in WHOLE.__struct_fields__:
        empty = () if isinstance(getattr(WHOLE, name), tuple) else " "
        records = CardRecords(
            run=msgspec.structs.replace(record, bundle={"version": "v1", "content": "0"}),
            declared=msgspec.structs.replace(WHOLE, **{name: empty}),
        )
        (gap,) = gaps(records)
        assert f"ModelCard({name}=…)" in gap
        assert f"**Missing**: `{name}`: " in render_card(records, "markdown")
    assert len(gaps(CardRecords(run=record))) == len(WHOLE.__struct_fields__) + 1
    begun = msgspec.structs.replace(record, ended=None)
    with pytest.raises(ConfigurationError, match="did not finish"):
        render_card(CardRecords(run=begun, declared=WHOLE), "html")
    with pytest.raises(ConfigurationError, match="at most 100 texts"):
        ModelCard(limits=["x" * 5_001])


def test_the_command_refuses_an_incomplete_card_and_knows_the_stages(
    record: RunRecord,
    bundle: Bundle,
    bundle_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))
    with Runs(tmp_path / "runs").begin(record.parameters, record.inputs) as recording:
        recording.figures, recording.evaluation = record.figures, record.evaluation
        recording.bundle = {"folder": "b", "version": bundle.version, "content": "0" * 64}
        recording.inputs = {"table": "1" * 64}
    project, target = tmp_path / "project.py", tmp_path / "card.html"

    def card(*words: object) -> Result:
        return CliRunner().invoke(app, ["card", *map(str, words)])

    refused = card("--out", target)
    assert (refused.exit_code, target.exists()) == (1, False)
    assert refused.stderr.count("missing: `") == len(WHOLE.__struct_fields__)
    drafted = card("--out", target, "--draft")
    assert (drafted.exit_code, "Missing: " in Seen(target.read_text()).text) == (0, True)
    declared = {name: list(one) if isinstance(one, tuple) else one for name, one in _fields()}
    project.write_text(PROJECT.replace("{}", f"**{declared!r}"))
    CliRunner().invoke(app, ["publish", str(bundle_folder), "--note", "the <first>"])
    written = card(bundle_folder, "--out", target, "--project", project)
    assert written.exit_code == 0, written.output
    text = re.sub(r"\s+", " ", Seen(target.read_text()).text)
    assert "Stage production" in text
    assert "the <first>" in text
    assert "has nothing to restore" in text
    by_version = card(bundle.version, "--project", project).stdout
    assert "## Approvals, gates and stages" in by_version
    assert f"| publish | production | {bundle.version} |" in by_version
    assert "no such" in str(card("--project", tmp_path / "nowhere").exception)
    assert "expected a file .html or .md" in str(card("--out", tmp_path / "card.pdf").exception)


def _fields() -> list[tuple[str, Any]]:
    return [(name, getattr(WHOLE, name)) for name in WHOLE.__struct_fields__]
