"""The report in a real browser: it says everything without a script, follows the slider, and
fetches nothing.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import msgspec
import pytest

from browser import Browser
from report.records import LONG
from shroff.errors import ConfigurationError
from shroff.evaluate import HeldOut
from shroff.experiment import RunRecord
from shroff.report import render


@pytest.fixture(scope="module")
def page(record: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(record), encoding="utf-8")
    return path.as_uri()


def confusion(bins: HeldOut, cut: int) -> tuple[int, ...]:
    """The slow way: tn, fp, fn, tp where the `cut` highest bins are flagged."""
    frauds, flagged = sum(bins.frauds[:cut]), sum(bins.payments[:cut])
    every = sum(bins.payments) - sum(bins.frauds)
    return every - (flagged - frauds), flagged - frauds, sum(bins.frauds) - frauds, frauds


def test_the_matrix_follows_the_slider(browser: Browser, page: str, record: RunRecord) -> None:
    browser.emulate(1280, 900)
    browser.open("about:blank")
    browser.console()
    browser.requested()
    browser.open(page)
    bins = record.evaluation["boosted_trees"].bins
    for cut in (0, 5, 60, len(bins.lowest)):
        move = (
            "const s = document.getElementById('slider'); s.value = arguments[0]; "
            "s.dispatchEvent(new Event('input'))"
        )
        browser.run(move, cut)
        shown = tuple(
            int(browser.text(f"#{cell}").replace(",", "")) for cell in ("tn", "fp", "fn", "tp")
        )
        assert shown == confusion(bins, cut)
        flagged = shown[1] + shown[3]
        assert float(browser.text("#alerts")) == pytest.approx(flagged / 10, abs=0.051)
        cost = (sum(bins.lost[cut:]) + 4 * flagged) / 10
        assert float(browser.text("#reviewed").replace(",", "")) == pytest.approx(cost, abs=0.006)
    browser.run(
        "const w = document.getElementById('which'); w.value = 'rules'; w.dispatchEvent(new "
        "Event('change'))"
    )
    assert (
        int(browser.text("#tp").replace(",", ""))
        == confusion(record.evaluation["rules"].bins, 1)[3]
    )
    assert browser.console() == []
    assert [url for url in browser.requested() if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(
    browser: Browser, page: str, width: int, scheme: str
) -> None:
    browser.emulate(width, 800, scheme=scheme)
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_on_the_page(browser: Browser, axe: str, page: str, scheme: str) -> None:
    browser.emulate(1280, 800, scheme=scheme)
    browser.open(page)
    assert browser.barriers(axe) == []


def test_barriers_are_found(browser: Browser, axe: str) -> None:
    page = "<html lang=en><title>t</title><main><h1>t</h1><img src=x><input></main>"
    browser.open(f"data:text/html,{page}")
    assert [one.split(":")[0] for one in browser.barriers(axe)] == ["image-alt", "label"]


def test_no_table_is_cut_in_a_window_of_a_laptop(browser: Browser, page: str) -> None:
    browser.emulate(1200, 800)
    browser.open(page)
    cut = "e => e.scrollWidth > e.clientWidth"
    assert browser.run(f"return [...document.querySelectorAll('.wide')].filter({cut}).length") == 0
    inside = (
        "const svg = t.ownerSVGElement.getBoundingClientRect(), r = t.getBoundingClientRect();"
        "return r.left >= svg.left - 1 && r.right <= svg.right + 1;"
    )
    names = f"return [...document.querySelectorAll('svg text')].every(t => {{{inside}}})"
    assert browser.run(names)


def test_words_begin_and_numbers_end_at_the_same_place(browser: Browser, page: str) -> None:
    browser.emulate(1_280, 800)
    browser.open(page)
    aligned = """return [...document.querySelectorAll('table')]
        .filter(one => one.caption.textContent === 'Decisions a day')
        .flatMap(one => [...one.querySelectorAll('thead tr, tbody tr')])
        .map(row => [...row.children].slice(0, 3).map(one => getComputedStyle(one).textAlign))"""
    rows = browser.run(aligned)
    assert len(rows) > 2
    assert all(row == ["left", "left", "right"] for row in rows), rows


def test_no_table_is_cut_on_paper(browser: Browser, page: str) -> None:
    """A4 between the usual margins is 717 pixels wide."""
    browser.emulate(717, 1000, media="print")
    browser.open(page)
    # what scrolls is cut on paper, and what is wider than the page too
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return getComputedStyle(document.querySelector('.wide')).overflowX") == (
        "visible"
    )


def test_nothing_is_shortened_or_without_its_reason(record: RunRecord) -> None:
    text = render(record)
    drawn = re.sub(r"</text><text[^>]*>", "", text)
    assert LONG in drawn
    assert "12 rows: amount: expected a number, got text" in text
    bands = [text.index(f">{band}<") for band in ("up to 9", "9 to 90", "above 90")]
    assert bands == sorted(bands)


def test_it_says_the_same_without_its_script(
    browser: Browser, page: str, record: RunRecord
) -> None:
    """What is written into the page is what the script shows first."""
    cells = (
        "tn",
        "fp",
        "fn",
        "tp",
        "precision",
        "recall",
        "false-positives",
        "alerts",
        "saved",
        "reviewed",
        "declined",
    )
    written = {name: re.search(rf'id="{name}">([^<]*)<', render(record)) for name in cells}
    browser.open(page)
    assert {name: browser.text(f"#{name}") for name in cells} == {
        name: one and one[1] for name, one in written.items()
    }


def test_what_others_wrote_is_text(record: RunRecord) -> None:
    text = render(record)
    assert len(text.encode()) < 1_000_000
    assert "<b>Ann" not in text
    assert html.escape("</script><b>Ann & Co</b>") in text
    assert "expected 1 &lt; 2" in text
    assert "unsafe-inline" not in text


def test_a_run_without_an_end_has_no_report(record: RunRecord) -> None:
    with pytest.raises(ConfigurationError, match="did not finish"):
        render(msgspec.structs.replace(record, ended=None))
    with pytest.raises(ConfigurationError, match="did not finish"):
        render(msgspec.structs.replace(record, failure="expected a label"))


def test_decisions_in_money_are_compared(record: RunRecord) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", " ", render(record)))
    assert "With the cheapest action for each payment it flags" in text
    assert text.count("98.25") == 2
    assert "as if it cost 2.50 more than it does" in text
    assert "on 90% of the held-out days" in text
    assert "Money is in the currency of the amounts" in text
    figures = record.figures | {"currency": "EUR"}
    named = html.unescape(render(msgspec.structs.replace(record, figures=figures)))
    assert "Money is in EUR; a review costs" in named
    assert "Cost (EUR)" in named


@pytest.mark.parametrize(
    "cost",
    [
        {"review": 4.0, "missed": "0.5 * amount", "declined": 15.0},
        {"review": 4.0, "missed": 60.0, "declined": "0.1 * amount"},
    ],
)
def test_costs_by_sql_are_told_and_not_added(
    record: RunRecord, cost: dict[str, object], browser: Browser, tmp_path: Path
) -> None:
    """The bins know amounts only."""
    page = tmp_path / "report.html"
    changed = msgspec.structs.replace(record, parameters={"policy": {"cost": cost}})
    page.write_text(render(changed), encoding="utf-8")
    browser.open(page.as_uri())
    by_sql = str(next(value for value in cost.values() if isinstance(value, str)))
    assert f"by `{by_sql}`" in browser.text("main")
    assert browser.text("#declined") == "–"
    assert (browser.text("#reviewed") == "–") == (cost["missed"] == by_sql)
