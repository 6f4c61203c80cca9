"""Marks strings, comments and numbers in code, and leaves the text unchanged."""

from __future__ import annotations

import re
from typing import Final

from shroff.markup import Html, join, tag

_TOKENS: Final = re.compile(
    r'(?P<key>"(?:[^"\\\n]|\\.)*"(?=\s*:(?!:)))'
    r'|(?P<string>\$?"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\')'
    r"|(?P<address>https?://[^\s\"']+)"
    r"|(?P<note>(?<!\S)(?:#|//)[^\n]*)"
    r"|(?P<word>\b(?:from|import|with|as|for|in|if|var|new|using|await|foreach|function|library|true|false|null|"
    r"True|False|None|TRUE|FALSE|NULL|curl|print|cat)\b(?![\w.-]*=))"
    r"|(?P<number>(?<![\w.\-/:])-?\d+(?:\.\d+)?(?![\w.]))"
)


def highlight(code: str) -> Html:
    """Code with spans around tokens, for a style sheet.

    >>> highlight('n = 5  # "five"')
    'n = <span class="number">5</span>  <span class="note"># &quot;five&quot;</span>'
    """
    pieces: list[str] = []
    end = 0
    for found in _TOKENS.finditer(code):
        pieces += [
            code[end : found.start()],
            tag("span", found.group(), class_=found.lastgroup or ""),
        ]
        end = found.end()
    return join([*pieces, code[end:]])
