"""REGEXP_LIKE: its automaton against Python's `re` on what both read alike, its bounds, and what it
refuses.
"""

from __future__ import annotations

import re
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.errors import InvalidExpression
from shroff.expression import parse
from shroff.expression.regular import Automaton, regexp_like

ATOMS = st.sampled_from(
    ["a", "b", "0", ".", "[ab]", "[^a]", "[a-c0-9_-]", r"\d", r"\W", r"\s", r"\.", r"[\d\]x]", "é"]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    times = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}"])
    group = st.builds(lambda part, open_: f"({open_}{part})", inner, st.sampled_from(["", "?:"]))
    return st.one_of(
        st.builds("{}{}".format, ATOMS | group, times),
        st.builds("{}{}".format, inner, inner),
        st.builds("({}|{})".format, inner, inner),
    )


PATTERNS = st.recursive(ATOMS, _grown, max_leaves=8)
TEXTS = st.text(alphabet="abc0-_. \né]x", max_size=12)


@settings(max_examples=1500, deadline=None)
@given(pattern=PATTERNS, ends=st.sampled_from(["{}", "^{}", "{}$", "^{}$", "^a|{}$"]), text=TEXTS)
def test_it_is_what_re_finds(pattern: str, ends: str, text: str) -> None:
    whole = ends.format(pattern)
    # of Python's dollar, the part that all engines share; its classes are those of ASCII here
    python = re.compile(whole.replace("$", r"\Z"), re.ASCII)
    assert Automaton(whole).found_in(text) is (python.search(text) is not None)


@settings(max_examples=300, deadline=None)
@given(pattern=PATTERNS, text=TEXTS)
def test_it_is_what_rust_finds(pattern: str, text: str) -> None:
    plain = (
        pattern.replace(r"\d", "[0-9]")
        .replace(r"[\d\]x]", r"[0-9\]x]")
        .replace(r"\W", "[^0-9A-Za-z_]")
    )
    found = pl.Series([text]).str.contains(plain.replace(r"\s", r"[\t-\r ]")).item()
    assert Automaton(pattern).found_in(text) is found


# each takes a backtracking engine longer than the universe lasts
@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)*c", "(.*)*(.*)*x$", "(a|b)*a(a|b){120}c", "(a?){100}a{100}$"]
)
@pytest.mark.parametrize("unit", ["a", "ab", "aab"])
def test_the_worst_text_takes_linear_time(pattern: str, unit: str) -> None:
    text = unit * (100_000 // len(unit)) + "!"
    automaton = Automaton(pattern)
    begin = time.process_time()
    assert not automaton.found_in(text)
    assert time.process_time() - begin < 5


def test_nothing_repeated_is_nothing() -> None:
    assert Automaton("(((){999}){999}){999}$").found_in("x")
    assert Automaton("((a?){9}){9}$").found_in("")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(?=a)", "got `(?`, which only `(?:` may begin"),
        (r"(a)\1", r"got `\1`"),
        (r"\bword", r"got `\b`"),
        (r"\pL", r"got `\p`"),
        ("a*?", "where nothing can be repeated"),
        ("a{2}{3}", "where nothing can be repeated"),
        ("^*", "where nothing can be repeated"),
        ("*a", "got `*` behind nothing"),
        ("a{3,2}", "without two numbers in order"),
        ("a{x}", "without a number of up to three digits"),
        ("a{1000}", "without two numbers in order"),
        ("(a", "a ( without its )"),
        ("a)", "a ) without its ("),
        ("[a", "its end too early"),
        ("[z-a]", "a range in `[…]`"),
        ("[[:alpha:]]", "`[` within `[…]`"),
        ("[]a]", "`[]` with nothing in it"),
        ("^^a", "no ^ or $ directly behind another"),
        ("a$$", "no ^ or $ directly behind another"),
        ("(" * 21 + ")" * 21, "more than 20 groups"),
        ("a{300}", "at most 256 characters"),
        ("\\", "its end too early"),
    ],
)
def test_what_engines_read_differently_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(InvalidExpression, match=re.escape(sentence)):
        Automaton(pattern)


def test_a_pattern_is_checked_where_it_is_defined() -> None:
    with pytest.raises(InvalidExpression, match="got `\\(\\?`"):
        parse("REGEXP_LIKE(mail, '(?i)x')", {"mail": "text"})
    with pytest.raises(
        InvalidExpression, match="REGEXP_LIKE takes a text and a pattern in single quotes"
    ):
        parse("REGEXP_LIKE(mail, mail)", {"mail": "text"})
    with pytest.raises(InvalidExpression, match="`REGEXP_LIKE` takes text, got `amount`"):
        parse("REGEXP_LIKE(amount, '1')", {"amount": "number"})


def test_many_characters_and_states_are_forgotten_again() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    assert regexp_like(text + "a1", "[^a]a\\d$")
    assert not regexp_like(text + "a", "[^a]a\\d$")
