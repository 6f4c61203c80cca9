"""Walking through an XML file in bounded memory: no tree, no entities, no document type.

The parser is expat, of the standard library: it reads chunk by chunk and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers import expat

from shroff.collect.message_rows import UnfitMessage

MAX_DEPTH: Final = 64
MAX_TEXT_CHARS: Final = 1_000_000
"""The longest text of an element, which is held until the element ends."""
MAX_TAG_BYTES: Final = 1_000_000
"""The longest tag or comment, which the parser holds until it ends."""
MAX_NAMES: Final = 5_000
MAX_NAME_CHARS: Final = 1_000_000
"""The most different names of elements and attributes, and the characters in them all, which the
parser never forgets.
"""

_CUT: Final = (
    expat.errors.XML_ERROR_NO_ELEMENTS,
    expat.errors.XML_ERROR_UNCLOSED_TOKEN,
    expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    expat.errors.XML_ERROR_PARTIAL_CHAR,
)


class XmlWalk:
    """Calls back where an element starts and ends, by its local name.

    Args:
        started: called with an element's local name and its attributes, by their full names.
        ended: called with an element's text; None where it has elements instead.
    """

    def __init__(
        self,
        started: Callable[[str, Mapping[str, str]], None],
        ended: Callable[[str | None], None],
    ) -> None:
        self._started = started
        self._ended = ended
        self._depth = self._fed = self._chars = self._name_chars = 0
        self._leaf = False
        self._text: list[str] = []
        self._names: set[str] = set()
        self._parser = parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def feed(self, chunk: bytes) -> None:
        """Go on through the next bytes of the file; none at its end.

        Raises:
            UnfitMessage: they are no XML, or XML that would take more than it should.
        """
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            got = expat.ErrorString(error.code)
            what = "a file that is cut off" if not chunk and got in _CUT else got
            raise UnfitMessage(
                f"expected well-formed XML, got {what} in line {error.lineno:,}"
            ) from None
        except UnfitMessage:
            raise
        except (LookupError, ValueError):
            # of Python's codecs, which expat asks for what it does not know
            raise UnfitMessage("expected XML in UTF-8, got another encoding") from None
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > MAX_TAG_BYTES:
            raise UnfitMessage(
                f"expected tags and comments of at most {MAX_TAG_BYTES:,} bytes, got a longer one"
            )

    def _doctype(self, *_: object) -> None:
        raise UnfitMessage(
            "expected XML without a document type and entities, which no message has, got one"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnfitMessage(f"expected elements at most {MAX_DEPTH} deep, got deeper ones")
        for one in (name, *attributes):
            if one not in self._names:
                self._names.add(one)
                self._name_chars += len(one)
        if len(self._names) > MAX_NAMES or self._name_chars > MAX_NAME_CHARS:
            raise UnfitMessage(
                f"expected at most {MAX_NAMES:,} different names of {MAX_NAME_CHARS:,} characters "
                "together, got more"
            )
        self._forget(leaf=True)
        self._started(name.rpartition(":")[2], attributes)

    def _end(self, _: str) -> None:
        self._depth -= 1
        text = "".join(self._text).strip() if self._leaf else None
        self._forget(leaf=False)
        self._ended(text)

    def _characters(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise UnfitMessage(
                f"expected texts of at most {MAX_TEXT_CHARS:,} characters, got a longer one"
            )
        if self._leaf:
            self._text.append(text)

    def _forget(self, *, leaf: bool) -> None:
        self._leaf, self._chars, self._text = leaf, 0, []
