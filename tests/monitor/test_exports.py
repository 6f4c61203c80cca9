"""The verdict as a page in a real browser, and as figures that promtool accepts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from browser import Browser
from monitor.test_verdict import MARCH, decided, with_reference
from shroff.collect.times import DAY_US
from shroff.evaluate.weighted import Estimate
from shroff.monitor import Finding, ModelVerdict, judge
from shroff.monitor.crossing import Crossing
from shroff.monitor.early import EarlyFrauds
from shroff.monitor.figures import figures
from shroff.monitor.lane import LaneMonth
from shroff.monitor.page import page
from shroff.monitor.scheme_watch import SchemeGauge
from shroff.package import Bundle
from shroff.telemetry.registry import as_text

SOON = Crossing(date(2026, 7, 7), date(2026, 8, 4), None)
GAUGES = (
    SchemeGauge("psd2", 2.5e-4, 6e-4, SOON, "exemption up to 250 EUR, over 90 days"),
    SchemeGauge("vamp", 2e-2, None, None, "all limits (excessive merchant)"),
)
LANE = LaneMonth(
    month="2026-03",
    stopped=450,
    covered=440,
    taken=40,
    no_chance={"rule": 10},
    false_declines=Estimate(33.0, 12.0, 71.0),
    precision=Estimate(0.92, 0.84, 0.97),
    recall=Estimate(0.8, 0.8, 0.8),
    saved=None,
    refused=Estimate(1900.0, 800.0, 3000.0),
    lost=20.0,
    lane_lost=7.0,
)
EARLY = EarlyFrauds(
    month="2026-03",
    decided="approve",
    as_of="2026-03-20",
    payments=5_000,
    too_young=70,
    known=21,
    by_delay=Estimate(31.0, 25.0, 40.0),
    by_lane=None,
    matured=None,
    amount=50.0,
    amount_by_delay=None,
    amount_matured=None,
)
ODD = Finding("drift", "<script>", "warning", "A name such as `<b>` is text.")


@pytest.fixture
def verdict(bundle: Bundle) -> ModelVerdict:
    model = replace(with_reference(bundle), name="a_model")
    seen = decided(70, amount=90.0)
    found = judge(model, seen, now=MARCH + 80 * DAY_US, delay_days=7)
    shown = found._replace(lanes=(LANE,), early=(EARLY,))
    return shown.adding(ODD, *(one.finding() for one in GAUGES))


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_the_page_reads_in_a_browser_without_a_script(
    browser: Browser, axe: str, verdict: ModelVerdict, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "monitor.html"
    file.write_text(page(verdict, by="mcc", segments=verdict.months))
    assert "<script" not in file.read_text()
    browser.emulate(width, 900, scheme=scheme)
    browser.open("about:blank")
    browser.console()
    browser.requested()
    browser.open(file.as_uri())
    text = browser.text("main")
    assert "1 alarm, looked at" in text
    assert "`" not in text.replace("`<b>`", "")
    assert "amount was at most 40 for 0.0 % of cards" in text
    assert "A name such as <b> is text." in text
    assert "would be reached, at the present trend, on 2026-08-04" in text
    assert "33 (12 – 71)" in text
    assert "0.92 (0.84 – 0.97)" in text
    assert "31 (25 – 40)" in text
    assert "By delay: " in text
    assert "By lane: " not in text
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.barriers(axe) == []
    assert browser.console() == []
    assert [url for url in browser.requested() if not url.startswith(("file:", "data:"))] == []


def test_promtool_accepts_the_figures(verdict: ModelVerdict) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    text = as_text(figures(verdict, GAUGES))
    done = subprocess.run(
        [program, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr
    told = text.decode()
    assert "shroff_monitor_holds 0.0" in told
    assert 'shroff_monitor_findings{kind="drift",severity="alarm"} 1.0' in told
    assert 'shroff_scheme_crossing_time_seconds{bound="latest",scheme="psd2"} +Inf' in told
