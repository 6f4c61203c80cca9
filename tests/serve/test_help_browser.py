"""The help page as a person uses it: in Chromium, with nothing refused, nothing fetched from
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Browser
from serve.site import Site

UNREADABLE = """
const numbers = (colour) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (colour) => {
  const [red, green, blue] = numbers(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (numbers(colour)[3] === 255) return colour;
  }
  return "white";
};
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (element.matches("script, .skip, .unseen")) continue;
  const both = [light(getComputedStyle(element).color), light(ground(element))];
  const [dark, bright] = both.sort((a, b) => a - b);
  if ((bright + 0.05) / (dark + 0.05) < 4.5)
    found.push(`${element.className}: ${texts.currentNode.data.trim()}`);
}
return found;
"""
"""Texts with less contrast than WCAG 2.2 asks for (1.4.3, level AA)."""


plain = pytest.mark.parametrize("site", ["plain"], indirect=True)


@pytest.fixture
def window(browser: Browser, site: Site) -> Iterator[Browser]:
    """The page, open in a window of 1440 × 900, in a browser that has told nothing yet."""
    browser.emulate(1440, 900)
    browser.open("about:blank")
    browser.console()
    browser.requested()
    browser.open(site.service.url + "/help")
    yield browser
    own = (site.service.url + "/", "data:image/svg+xml,")
    assert [url for url in browser.requested() if not url.startswith(own)] == []


def test_a_payment_can_be_tried(window: Browser, site: Site) -> None:
    window.type("#key", site.token)
    window.type("input[name=amount]", "900")
    window.type("input[name=host_id]", "10.6.6.6")
    window.click("#send")
    window.wait(lambda: "probability" in window.text("#outcome"))
    shown = window.text("#outcome")
    assert shown.startswith("decline")
    assert "% probability of fraud" in shown
    assert (
        "rule `blocked_host` declines: `host_id IN blocked` holds; `host_id` is 10.6.6.6" in shown
    )
    assert "Answered in " in shown
    assert window.console() == []


@plain
def test_a_refusal_says_what_to_do(window: Browser, site: Site) -> None:
    window.click("#send")
    window.wait(lambda: "401" in window.text("#outcome"))
    assert "A valid API key is needed" in window.text("#outcome")
    window.click("#outcome a")
    assert window.run("return location.hash") == "#problem-unauthorized"


@plain
def test_a_wrong_field_is_told_by_name(window: Browser, site: Site) -> None:
    window.type("#key", site.token)
    window.type("input[name=currency]", "EURO")
    window.click("#send")
    window.wait(lambda: "400" in window.text("#outcome"))
    assert "$.currency" in window.text("#outcome")


@plain
def test_the_chosen_language_is_shown_and_kept(window: Browser, site: Site) -> None:
    shown = """return [...document.querySelectorAll("[data-example]")]
        .filter((example) => example.checkVisibility())
        .map((example) => example.dataset.language)"""
    assert window.run(shown) == ["curl"] * 3
    window.click("label:has(#language-csharp)")
    assert window.run(shown) == ["csharp"] * 3
    window.open(site.service.url + "/help")
    assert window.run(shown) == ["csharp"] * 3
    window.run("localStorage.clear()")


@plain
def test_code_is_copied_as_it_is(window: Browser) -> None:
    window.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    window.click("#payment figure button")
    window.wait(lambda: window.text("#payment figure button") == "Copied")
    assert window.run("return window.copied") == window.run(
        "return document.querySelector('#payment pre').textContent"
    )


@plain
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(window: Browser, scheme: str) -> None:
    window.emulate(1440, 900, scheme=scheme)
    dark = window.run("return matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")
    assert window.run(UNREADABLE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_on_the_page(window: Browser, axe: str, scheme: str) -> None:
    window.emulate(1440, 900, scheme=scheme)
    assert window.barriers(axe) == []


def test_nothing_is_wider_than_the_window(window: Browser) -> None:
    for width in (320, 390, 768, 1100, 1920):
        window.emulate(width, 900)
        assert window.run("return document.documentElement.scrollWidth <= innerWidth"), width
    assert window.console() == []
