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
from shroff.monitor import Finding, ModelVerdict, judge
from shroff.monitor.crossing import Crossing
from shroff.monitor.figures import figures
from shroff.monitor.page import page
from shroff.monitor.scheme_watch import SchemeGauge
from shroff.package import Bundle
from shroff.telemetry.registry import as_text

SOON = Crossing(date(2026, 7, 7), date(2026, 8, 4), None)
GAUGES = (
    SchemeGauge("psd2", 2.5e-4, 6e-4, SOON, "exemption up to 250 EUR, over 90 days"),
    SchemeGauge("vamp", 2e-2, None, None, "all limits (excessive merchant)"),
)
ODD = Finding("drift", "<script>", "warning", "A name such as `<b>` is text.")


@pytest.fixture
def verdict(bundle: Bundle) -> ModelVerdict:
    model = replace(with_reference(bundle), name="a_model")
    seen = decided(70, amount=90.0)
    return judge(model, seen, now=MARCH + 80 * DAY_US, delay_days=7).adding(
        ODD, *(one.finding() for one in GAUGES)
    )


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
