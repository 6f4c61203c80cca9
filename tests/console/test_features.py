"""The page of features: the catalogue, a distribution, and what is said before a decision."""

from __future__ import annotations

import re

from browser import Browser
from console.hostile import assert_inert
from console.site import ConsoleSite
from patience import until


def test_inputs_are_shown_as_defined_and_as_in_training(
    console: ConsoleSite, browser: Browser, axe: str
) -> None:
    visit = console.visit("modeller")
    assert re.findall(r'href="/features/of[?]name=([^"]*)"', visit.page("/features")) == [
        "amount",
        "card_count_1h",
        "request_country",
    ]
    shown = visit.page("/features/of?name=card_count_1h")
    assert "velocity, version 1" in shown
    assert "1 payment by this card in 1 hour" in shown
    assert "&#34;function&#34;:&#34;count&#34;" in shown
    country = visit.page("/features/of?name=request_country")
    assert_inert(country)
    assert "&lt;script&gt;" in country
    assert visit.http.get("/features/of?name=nothing").status_code == 404
    console.sign_in(browser, "modeller")
    for theme in ("light", "dark"):
        browser.emulate(390, 844, scheme=theme)
        for path in ("/features", "/features/of?name=amount"):
            browser.open(f"{console.url}{path}")
            assert browser.barriers(axe) == [], (path, theme)
    browser.emulate(1280, 900)


def test_inputs_are_measured_on_what_was_decided(console: ConsoleSite) -> None:
    visit = console.visit("modeller")
    assert visit.send("/features").status_code == 303
    until(lambda: "payments were computed again in batch" in visit.page("/features"))
    shown = visit.page("/features")
    assert '<span class="badge good">equal</span>' in shown
    assert "differ</span>" not in shown
    assert 'aria-label="Now"' in visit.page("/features/of?name=amount")
