"""How pages are made: templates with what every page shows, and answers that lead elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Litestar
from litestar.response import Redirect, Template
from litestar.response.base import ASGIResponse
from markupsafe import Markup, escape

from shroff import __version__
from shroff.console.access import cookie, form_token, read_cookie
from shroff.console.assets import asset_address
from shroff.console.web import Connection, Request
from shroff.control.users import UserRole
from shroff.markup import Html

_SAID: Final = "shroff_said"
_THEME: Final = "shroff_theme"
THEMES: Final = ("auto", "light", "dark")
_OPENINGS: Final = frozenset(
    "a an another cannot case expected it no nobody of one only proposal somebody something that "
    "the there these they this too unknown version what your you".split()
)
"""How sentences of ours begin that are written without a capital."""
_TOKEN: Final = re.compile(r"\b([0-9a-f]{64})\b")


class Entry(NamedTuple):
    """An entry of the navigation: its address, its title, and the least role that sees it; pages
    below `also` belong to it too.
    """

    path: str
    title: str
    role: UserRole
    also: str | None = None

    def has(self, path: str) -> bool:
        """Whether a page belongs to it.

        >>> Entry("/rules", "Rules", "modeller", also="/proposals").has("/proposals/7")
        True
        """
        if self.path == "/":
            return path == "/"
        return f"{path}/".startswith(tuple(f"{one}/" for one in (self.path, self.also) if one))


NAVIGATION: Final = (
    Entry("/", "Overview", "analyst"),
    Entry("/cases", "Cases", "analyst"),
    Entry("/payments", "Payments", "analyst"),
    Entry("/models", "Models", "modeller"),
    Entry("/features", "Features", "modeller"),
    Entry("/rules", "Rules", "modeller", also="/proposals"),
    Entry("/lists", "Lists", "admin"),
    Entry("/users", "Users", "admin"),
)


class View(Template):
    """A template with what every page has: `user`, `csrf`, `link`, `asset`, the navigation."""

    def to_asgi_response(
        self, app: Litestar | None, request: Request, **named: Any
    ) -> ASGIResponse:
        """The answer, with which what was said once is removed."""
        if read_cookie(request, _SAID) and not str(self.template_name).startswith("_"):
            self.set_cookie(cookie(request, _SAID, ""))
        return super().to_asgi_response(app, request, **named)

    def create_template_context(self, request: Request) -> dict[str, Any]:
        """The names that a template sees."""
        user = request.scope.get("user")
        path = path_of(request)
        shared = {
            "user": user,
            "csrf": form_token(request),
            "link": lambda target: link(request, target),
            "asset": lambda name: link(request, asset_address(name)),
            "theme": _theme(request),
            "said": unquote(read_cookie(request, _SAID)),
            "release": __version__,
            "here": _here(request),
            "navigation": [
                (one, one.has(path))
                for one in NAVIGATION
                if user is not None and user.may(one.role)
            ],
        }
        return {**shared, **super().create_template_context(request)}


def _here(request: Request) -> str:
    """Where to come back to; the first page after a form, whose address may have no page."""
    if request.method != "GET":
        return "/"
    return quote(path_of(request)) + (f"?{request.url.query}" if request.url.query else "")


def view(template: str, context: Mapping[str, Any] | None = None, *, status: int = 200) -> View:
    """A page from a template of `templates/`; its context is escaped as it is written."""
    return View(
        template_name=template,
        context=dict(context or {}),
        status_code=status,
        media_type="text/html",
    )


def job_view(context: Mapping[str, Any]) -> View:
    """The part about a job, `_job_part.html`; once it has ended, its page is asked for again."""
    shown, job = view("_job_part.html", context), context["job"]
    if job is None or not job.running:
        shown.headers["hx-refresh"] = "true"
    return shown


def wants_part(request: Request) -> bool:
    """Whether htmx asks for a part of a page, which it puts into the open one."""
    return request.headers.get("hx-request") == "true" and "hx-boosted" not in request.headers


def path_of(connection: Connection) -> str:
    """The path of a request below where the console is mounted."""
    return str(connection.scope["path"]).removeprefix(connection.scope.get("root_path", ""))


def link(connection: Connection, target: str) -> str:
    """The address of a path of the console, wherever it is mounted.

    `target` begins with `/` and is quoted already.
    """
    return f"{connection.scope.get('root_path', '')}{target}"


def lead(request: Request, target: str, *, said: str = "") -> Redirect:
    """Lead the browser to a path of the console after a form; `said` is shown there, once."""
    cookies = [cookie(request, _SAID, quote(said))] if said else []
    return Redirect(link(request, target), status_code=303, cookies=cookies)


def local_path(text: str) -> str:
    """A path of the console that somebody passed on, such as `next`; the first page for any other.

    >>> local_path("/cases?queue=a"), local_path("//evil.example"), local_path("/\\\\evil.example")
    ('/cases?queue=a', '/', '/')
    """
    return text if re.fullmatch(r"/(?![/\\])[!-\[\]-~]{0,2000}", text) else "/"


def environment() -> Environment:
    """The templates: escaped, strict about names, with filters for times and numbers."""
    made = Environment(
        loader=PackageLoader("shroff.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "time": time_tag,
        "money": money,
        "count": count,
        "many": many,
        "tokened": tokened,
        "percent": percent,
        "made": made_html,
        "coded": coded,
        "sentence": sentence,
        "plain": plain,
        "day": day_tag,
    }
    made.globals["dash"] = Markup("–")
    return made


def made_html(part: Html) -> Markup:
    """Markup that `markup` made, such as a section of a report; no other text passes.

    >>> made_html("<b>")
    Traceback (most recent call last):
    ...
    TypeError: expected Html, got str
    """
    if not isinstance(part, Html):
        raise TypeError(f"expected Html, got {type(part).__name__}")
    return Markup(part)


def time_tag(micros: int | None, precision: str = "seconds") -> Markup:
    """A time in UTC as `<time>`, to the `minutes` or `seconds`; a dash without one.

    >>> str(time_tag(1_704_067_200_000_000, "minutes"))
    '<time datetime="2024-01-01T00:00:00Z">2024-01-01 00:00</time>'
    """
    if micros is None:
        return Markup("–")
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    shown = f"{moment:%Y-%m-%d %H:%M}" if precision == "minutes" else f"{moment:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", shown)


def day_tag(micros: int) -> Markup:
    """A day in UTC as `<time>`.

    >>> str(day_tag(1_704_067_200_000_000))
    '<time datetime="2024-01-01">2024-01-01</time>'
    """
    day = f"{datetime.fromtimestamp(micros // 1_000_000, UTC):%Y-%m-%d}"
    return Markup('<time datetime="{}">{}</time>').format(day, day)


def money(amount: float | None, unit: str | None = "") -> str:
    """An amount in major units, with its currency.

    >>> money(1234.5, "EUR"), money(None)
    ('1,234.50 EUR', '–')
    """
    if amount is None:
        return "–"
    return f"{amount:,.2f} {unit}".rstrip() if unit else f"{amount:,.2f}"


def count(number: float | None) -> str:
    """A whole number with separators.

    >>> count(12345)
    '12,345'
    """
    return "–" if number is None else f"{number:,.0f}"


def many(number: float, noun: str) -> str:
    """A number of things.

    >>> many(1, "value"), many(1200, "value")
    ('1 value', '1,200 values')
    """
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def tokened(text: str) -> Markup:
    """A text in which tokens of personal values are shortened; each is whole in its title.

    >>> str(tokened("paid from " + 64 * "a"))[:30]
    'paid from <span title="aaaaaaa'
    """
    parts, short = _TOKEN.split(text), Markup('<span title="{}">{}…</span>')
    return Markup("").join(
        short.format(one, one[:12]) if at % 2 else one for at, one in enumerate(parts)
    )


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent.

    >>> percent(0.1234)
    '12.3 %'
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def coded(text: str) -> Markup:
    """A sentence with what it names in backticks as code.

    >>> str(coded("`mcc` is <6011>"))
    '<code>mcc</code> is &lt;6011&gt;'
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    named = Markup("<code>{}</code>")
    return Markup("").join(named.format(one) if at % 2 else one for at, one in enumerate(parts))


def sentence(text: str) -> str:
    """A sentence of ours, such as an error's, as it begins on a page: with a capital.

    What begins with a name, of a person or a column, stays as it is.

    >>> sentence("expected a reason."), sentence("ada has claimed it."), sentence("`x` is null.")
    ('Expected a reason.', 'ada has claimed it.', '`x` is null.')
    """
    word = text.partition(" ")[0]
    return word.capitalize() + text[len(word) :] if word in _OPENINGS else text


def plain(value: Any) -> Any:
    """A struct as its fields by name; any other value as it is."""
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value


def _theme(request: Request) -> str:
    chosen = read_cookie(request, _THEME)
    return chosen if chosen in THEMES else "auto"


def text_of(name: str) -> str:
    """A file of the console's package."""
    return (files("shroff.console") / name).read_text(encoding="utf-8")
