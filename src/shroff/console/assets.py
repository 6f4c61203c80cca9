"""Style, script and what npm brought: read once, served compressed and for good.

An address has the digest of its content, so a browser keeps it and a new release is another
address. Pages are not compressed: beside what somebody typed, the length would tell of tokens.
"""

from __future__ import annotations

import gzip
import logging
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from shroff.console.access import ROLE
from shroff.console.web import Request, Response

_OWN: Final = ("console.css", "console.js", "editor.js", "icon.svg")
_REPORT: Final = {"figures.css": "figures.css", "report.js": "page.js"}
"""What sections of reports look like and do, and the files of that room."""
_VENDOR: Final = ("htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css")
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_YEAR: Final = 31_536_000
_log = logging.getLogger(__name__)


class Asset(NamedTuple):
    """A file as it is sent: plain, compressed, and what its address ends with."""

    plain: bytes
    packed: bytes
    digest: str
    kind: str


@cache
def assets() -> dict[str, Asset]:
    """All assets by name; those of npm only where they were fetched."""
    found: dict[str, Asset] = {}
    for folder, names in (("assets", _OWN), ("vendor", _VENDOR)):
        for name in names:
            file = files("shroff.console") / folder / name
            if file.is_file():
                found[name] = _read(name, file.read_bytes())
    for name, own in _REPORT.items():
        found[name] = _read(name, (files("shroff.report") / own).read_bytes())
    if missing := [name for name in _VENDOR if name not in found]:
        _log.warning(
            "%s not installed (`make vendor`, which needs npm): the console works without script.",
            " and ".join(missing),
            extra={"event": "no_script"},
        )
    return found


def asset_address(name: str) -> str:
    """The address of an asset; nothing where it was not fetched."""
    asset = assets().get(name)
    return "" if asset is None else f"/assets/{name}?v={asset.digest}"


@get("/assets/{name:str}", opt={ROLE: None, "exclude_from_auth": True}, sync_to_thread=False)
def show_asset(request: Request, name: FromPath[str]) -> Response:
    """An asset, compressed where the browser takes that."""
    asset = assets().get(name)
    if asset is None:
        raise NotFoundException("there is no such file.")
    # an old address, as a page of the release before has it, is not kept with what is new
    own = request.query_params.get("v") == asset.digest
    kept = f"public, max-age={_YEAR}, immutable" if own else "no-store"
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"cache-control": kept, "vary": "accept-encoding"}
    return Response(
        asset.packed if packed else asset.plain,
        media_type=asset.kind,
        headers=headers | ({"content-encoding": "gzip"} if packed else {}),
    )


def _read(name: str, content: bytes) -> Asset:
    return Asset(
        plain=content,
        packed=gzip.compress(content, 9, mtime=0),
        digest=sha256(content).hexdigest()[:16],
        kind=_TYPES[name.rsplit(".", 1)[1]],
    )
