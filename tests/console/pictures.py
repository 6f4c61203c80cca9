"""The pictures of docs/console, made anew of a running demo:

    shroff console --demo --folder months &
    PYTHONPATH=tests python -m console.pictures http://127.0.0.1:8090 months

It adds users and edits of a list to the demo, so that their pages have something to show. Look at
each picture before you commit it.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

from browser import Browser, chromium
from shroff.control import Lists
from shroff.control.models import Models
from shroff.control.sessions import Sessions
from shroff.control.users import UserRole, Users
from shroff.demo import USER
from shroff.errors import ConfigurationError
from shroff.settings import Settings

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
_COLOURS: Final = 256
_LIST: Final = "red_countries"
_CONDITION: Final = "mcc = '6011' AND card_"
_SIZES: Final = {
    "sign-in": (900, 480),
    "users": (1100, 760),
    "overview": (1200, 1120),
    "payments": (1300, 760),
    "payment": (1200, 1100),
    "cases": (1200, 900),
    "case": (1600, 1960),
    "models": (1200, 620),
    "threshold": (1200, 800),
    "rules": (1280, 900),
    "rule_editor": (1280, 1000),
    "list": (1280, 760),
    "features": (1200, 760),
    "feature": (1200, 760),
}


class Photographer:
    """Takes pictures of the pages of a console."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url

    def open(self, name: str, path: str, *, scheme: str = "light") -> None:
        """Open the page of a picture in its size."""
        self._browser.emulate(*_SIZES[name], scheme=scheme)
        self._browser.open(self._url + path)
        # what scrolls has a bar in the picture otherwise
        self._browser.run("document.documentElement.style.scrollbarWidth = 'none'")

    def take(self, name: str) -> None:
        """Write a picture of what is open."""
        image = Image.open(io.BytesIO(self._browser.screenshot())).convert("RGB")
        image.quantize(_COLOURS).save(_FOLDER / f"{name}.png", optimize=True)

    def page(self, name: str, path: str, wait_for: str = "main") -> None:
        """Take a page once it has an element."""
        self.open(name, path)
        self.until(wait_for)
        self.take(name)

    def until(self, selector: str) -> None:
        """Wait until the page has an element."""
        script = "return document.querySelector(arguments[0]) !== null"
        self._browser.wait(lambda: bool(self._browser.run(script, selector)))

    def first_link(self, pattern: str) -> str:
        """The path of the first link of the page whose address begins so."""
        script = "return [...document.querySelectorAll('main a')].map(a => a.getAttribute('href'))"
        return str(next(one for one in self._browser.run(script) if one and re.match(pattern, one)))


def take_all(browser: Browser, url: str, settings: Settings) -> None:
    """All pictures, by the demo's user."""
    camera = Photographer(browser, url)
    camera.page("sign-in", "/sign-in")
    session = Sessions(settings.control).begin(Users(settings.control).named(USER))
    cookie = {"name": "shroff_session", "value": session, "path": "/"}
    browser.call("POST", "/cookie", cookie=cookie)
    camera.page("users", "/users")
    camera.open("overview", "/")
    camera.page("overview", camera.first_link(".*26w"), "main svg, main canvas")
    camera.page("payments", "/payments", "tbody tr")
    camera.open("payment", "/payments?action=decline")
    camera.page("payment", camera.first_link(r"/payments/receipt\?id="))
    camera.page("cases", "/cases", "tbody tr")
    camera.page("case", camera.first_link("/cases/[0-9]+"))
    camera.page("models", "/models")
    version = Models(settings.models).pointers.production
    camera.open("threshold", f"/models/{version}", scheme="dark")
    browser.run("document.querySelector('#threshold, input[type=range]').scrollIntoView()")
    browser.run("window.scrollBy(0, -280)")
    camera.take("threshold")
    camera.open("rules", "/rules")
    browser.wait(lambda: "The ledger is read" not in browser.text("main"))
    camera.take("rules")
    camera.open("rule_editor", "/rules/edit")
    browser.type("#field-name", "cash_machines")
    browser.type("#condition", _CONDITION)
    camera.until('[role="option"]')
    camera.take("rule_editor")
    camera.page("list", f"/lists/values?name={_LIST}")
    camera.open("features", "/features")
    browser.click("main form button")
    browser.wait(lambda: "equal" in browser.text("main"))
    camera.page("features", "/features")
    camera.page("feature", camera.first_link("/features/of"))


def prepare(settings: Settings) -> None:
    """Give the pages of users and of a list something to show."""
    users, lists = Users(settings.control), Lists(settings.control)
    people: dict[str, UserRole] = {"ada": "analyst", "mia": "modeller"}
    for name, role in people.items():
        with suppress(ConfigurationError):  # made by an earlier run
            users.add(name, role, by=USER)
    if not lists.of(_LIST, ["AQ"]):
        for value, note in (("AQ", "card testing"), ("BV", "chargebacks of October")):
            lists.edit(_LIST, value, "add", by=USER, note=note)


if __name__ == "__main__":
    address, folder = sys.argv[1:]
    installation = Settings(home=Path(folder).resolve())
    prepare(installation)
    with TemporaryDirectory() as scratch, chromium(Path(scratch)) as window:
        take_all(window, address.rstrip("/"), installation)
