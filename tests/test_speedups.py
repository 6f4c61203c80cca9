"""The compiled loops give what the Python beside them gives."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import sysconfig
from array import array
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from operator import is_
from types import ModuleType
from typing import Any, Final, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Schema, speedups
from shroff.detect.preparation import Nominal, Numeric, Preparation, Row
from shroff.errors import BadPayment
from shroff.features.engines.online.amounts import AmountKind, Amounts
from shroff.features.engines.online.coded_names import CodedNames
from shroff.features.engines.online.compiled import appender
from shroff.features.engines.online.layout import Layout
from shroff.features.engines.online.stream_timelines import StreamTimelines
from shroff.features.plan import Plan
from shroff.features.window import END_OF_TIME_US, after, upto
from shroff.ledger.id_filter import IdFilter

needs_compiled = pytest.mark.skipif(
    speedups.compiled is None,
    reason="there are no compiled loops: no C compiler, or SHROFF_COMPILED=0",
)
compiled = cast(ModuleType, speedups.compiled)
KINDS: Final[Sequence[AmountKind]] = ("total", "square", "min", "max")
NAMES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "b", "c", "d"]))
AMOUNTS = st.one_of(
    st.integers(-9, 9), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**62), 2**62)
)


def test_they_are_compiled_where_a_compiler_is_at_hand() -> None:
    if shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) is None:
        pytest.skip("there is no C compiler")
    assert usable(), "install Shroff again: `make .venv/installed-dev`"


def usable() -> bool:
    """Whether there is a compiled file, made from this `_speedups.pyx`."""
    return find_spec("shroff._speedups") is not None and (
        getattr(import_module("shroff._speedups"), "INTERFACE", None) == speedups.INTERFACE
    )


def test_an_older_compiled_file_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could read columns that have another shape by now."""
    monkeypatch.delenv("SHROFF_COMPILED", raising=False)
    for interface, used in (
        (None, False),
        (speedups.INTERFACE - 1, False),
        (speedups.INTERFACE, True),
    ):
        older = ModuleType("shroff._speedups")
        if interface is not None:
            vars(older)["INTERFACE"] = interface
        monkeypatch.setitem(sys.modules, "shroff._speedups", older)
        assert (speedups._found() is older) == used


@pytest.mark.parametrize("wish", ["0", "1"])
def test_the_environment_can_leave_them_out(wish: str) -> None:
    told = [sys.executable, "-c", "from shroff import speedups; print(speedups.compiled is None)"]
    environment = os.environ | {"SHROFF_COMPILED": wish}
    done = subprocess.run(told, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(wish == "0" or not usable())


def fresh(name: Any) -> Any:
    """An equal name that is another object, as each payment brings one."""
    return "".join(list(name)) if isinstance(name, str) else name


@needs_compiled
@given(
    events=st.lists(st.tuples(st.integers(0, 40), AMOUNTS, NAMES), max_size=40),
    more=st.integers(0, 150),
    window=st.tuples(st.integers(1, 60), st.integers(0, 20), st.sampled_from([0, 1, 7])),
    time=st.integers(0, 60),
    mine=NAMES,
)
def test_windows_are_read_as_python_reads_them(
    events: list[tuple[int, int, Any]],
    more: int,
    window: tuple[int, int, int],
    time: int,
    mine: Any,
) -> None:
    """Of short timelines and of long ones, which have an index."""
    times, amounts, names = array("q"), Amounts(KINDS), CodedNames()
    for at, amount, name in sorted([*events, *[(40, 1, "z")] * more], key=lambda one: one[0]):
        times.append(at)
        amounts.push(times, amount)
        names.push(times, fresh(name))
    length, delay, step = window
    after, upto = (
        bound // step * step + step - 1 if step else bound
        for bound in (time - length - delay, time - delay)
    )
    kept = [place for place, at in enumerate(times) if after < at and (not delay or at <= upto)]
    low, high = (kept[0], kept[-1] + 1) if kept else (0, 0)
    asked = {
        "count": (-1, 1, high - low),
        "total": (0, 1, sum(amounts.amounts[low:high])),
        "square": (0, 1, sum(one * one for one in amounts.amounts[low:high])),
        "smallest": (0, 1, min(amounts.amounts[low:high], default=None)),
        "largest": (0, 1, max(amounts.amounts[low:high], default=None)),
        "from start": (-1, 2, times[low + 1] if high - low > 1 else None),
        "from end": (-1, 2, times[high - 2] if high - low > 1 else None),
    }
    span = (low, high, after, upto if delay else 2**63 - 1)
    asked |= {
        "distinct": (1, 1, names.distinct(*span) if kept else 0),
        "named": (1, 1, names.named(*span) if kept else 0),
        "own": (1, 2, names.own(mine, *span) if kept and mine is not None else 0),
    }
    reads = [
        (
            0,
            op,
            column,
            nth,
            0 if op in ("count", "total", "square") else right if not kept else None,
        )
        for op, (column, nth, right) in asked.items()
    ]
    found = compiled.Windows([window], reads).read(times, (amounts, names, mine), time)
    assert found == tuple(right for _, _, right in asked.values())


@needs_compiled
@given(
    st.lists(st.tuples(AMOUNTS, st.one_of(NAMES, st.text(max_size=2))), max_size=140),
    st.sampled_from([None, "a"]),
)
def test_events_are_appended_as_python_pushes_them(
    events: list[tuple[int, Any]], first: Any
) -> None:
    times = array("q")
    ours, theirs = ((Amounts(KINDS), CodedNames()) for _ in range(2))
    append = appender(of_amounts_and_names())
    for amount, name in [(1, first)] * 10 + events:
        append(times, ours, (amount, fresh(name)), len(times))
        (our_amounts, our_names), (their_amounts, their_names) = ours, theirs
        their_amounts.push(times, amount)
        their_names.push(times, fresh(name))
        assert our_amounts.pack() == their_amounts.pack()
        assert (our_amounts.index is None) == (their_amounts.index is None)
        assert our_amounts.sums[-1] == their_amounts.sums[-1]
        assert our_names.pack() == their_names.pack()
        assert all(map(is_, our_names.names, their_names.names))
        # where all have the first name, the codes are shared by all timelines
        if isinstance(our_names.cells, bytes) and not any(our_names.cells):
            assert our_names.cells is their_names.cells
    assert times == array("q", range(10 + len(events)))


def of_amounts_and_names() -> Layout:
    card = Entity("card", "card_id")
    features = [card.total("amount", "1d"), card.distinct("mcc", "1d")]
    group = FeatureGroup("g", version=1, description="Both", features=features)
    schema = Schema(id="id", time="t", amount="amount", nominal=["mcc"], keys=["card_id"])
    plan = Plan([group], schema)
    layout = StreamTimelines(plan.streams, plan, 0).layout
    assert layout.kinds == ["amounts", "names"]
    return layout


@given(st.sets(st.text()), st.sets(st.text()))
def test_an_id_is_known_by_either(added: set[str], others: set[str]) -> None:
    """A filter that one of the two has filled is the other's too."""
    with pytest.MonkeyPatch.context() as patch:
        ids = IdFilter(added)
        found = [ids.may_have(one) for one in (*added, *others)]
        patch.setattr(speedups, "compiled", None)
        assert [ids.may_have(one) for one in (*added, *others)] == found
        assert all(found[: len(added)])
        assert IdFilter(added)._filters[0]._words == ids._filters[0]._words


PREPARATION = Preparation(
    numeric=(Numeric("one", 2.0, 3.0), Numeric("other", -0.1, 1e-30)),
    nominal=(Nominal("mcc", ("5411",)),),
)
NUMBERS = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=1))


@given(st.lists(st.fixed_dictionaries({"one": NUMBERS, "other": NUMBERS, "mcc": st.just("5411")})))
def test_inputs_are_scaled_alike_and_refused_alike(rows: list[dict[str, Any]]) -> None:
    def scaled() -> bytes | str:
        try:
            return PREPARATION.vectors(rows).tobytes()
        except BadPayment as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        ours = scaled()
        patch.setattr(speedups, "compiled", None)
        assert scaled() == ours


@needs_compiled
@pytest.mark.parametrize("row", [None, {}, {"one": "1"}, [("one", 1.0)], {"one": np.float64(1)}])
def test_what_is_no_row_is_refused(row: Any) -> None:
    matrix = np.empty((1, 1), np.float32)
    with pytest.raises((KeyError, TypeError)):
        compiled.scale([row], (("one", 0.0, 1.0),), matrix)
    compiled.scale([{"one": math.inf}], (("one", 0.0, 1.0),), matrix)
    assert matrix[0, 0] == math.inf


@needs_compiled
@pytest.mark.parametrize(
    ("windows", "reads"),
    [
        ([(1, 0, 0)], [(0, "median", -1, 1, 0)]),
        ([(1, 0, 0)], [(1, "count", -1, 1, 0)]),
        ([(1, 0, 0)], [(0, "total", -1, 1, 0)]),
        ([(1, 0, 0)], [(0, "from start", -1, 0, 0)]),
        ([(1, 0, 0)], [(0, "count")]),
        ([(1, 0)], []),
        ([(1, -1, 0)], []),
        ([(2**62, 2**62, 0)], []),
        ([(1, 0, 0)], [(0, "count", 2**40, 1, 0)]),
    ],
)
def test_what_cannot_be_read_is_refused(windows: list[Any], reads: list[Any]) -> None:
    with pytest.raises((KeyError, ValueError, OverflowError)):
        compiled.Windows(windows, reads)


@needs_compiled
@pytest.mark.parametrize(
    ("times", "columns"),
    [(array("q", [1]), ()), (array("i", [1]), (Amounts(KINDS),)), (None, ()), ([1], ())],
)
def test_what_is_no_timeline_is_refused(times: Any, columns: Any) -> None:
    """Rather than read from memory that is another's."""
    read = compiled.Windows([(1, 0, 0)], [(0, "total", 0, 1, 0)]).read
    with pytest.raises((TypeError, ValueError)):
        read(times, columns, 1)


@needs_compiled
def test_what_is_no_filter_is_refused() -> None:
    masks = array("Q", [7]) * 4_096
    for words, given_masks in (
        (array("Q"), masks),
        (array("I", [1]), masks),
        (array("Q", [1]), masks[1:]),
    ):
        with pytest.raises(ValueError, match="4,096 masks"):
            compiled.has_bits(words, given_masks, 5)
        with pytest.raises(ValueError, match="4,096 masks"):
            compiled.add_bits(words, given_masks, 5)
    with pytest.raises(ValueError, match="room"):
        compiled.scale([{}], (), np.empty((0, 1), np.float32))


@needs_compiled
@pytest.mark.parametrize(("op", "column"), [("total", 0), ("distinct", 1), ("own", 1)])
def test_columns_shorter_than_their_times_are_refused(op: str, column: int) -> None:
    times, names = array("q", [1]), CodedNames()
    names.push(times, "a")
    read = compiled.Windows([(9, 0, 0)], [(0, op, column, 2, 0)]).read
    with pytest.raises(ValueError, match="of each event"):
        read(array("q", [1, 2]), (Amounts(KINDS, array("i", [1])), names, "a"), 3)


@needs_compiled
@pytest.mark.parametrize("time", [-(2**63), -(2**63) + 5, 2**63 - 1, 2**63 - 5])
@pytest.mark.parametrize("window", [(10, 0, 0), (10, 0, 7), (10, 3, 0), (10, 3, 2**60)])
def test_bounds_stay_in_order_where_8_bytes_end(time: int, window: tuple[int, int, int]) -> None:
    times = array("q", [-(2**62), 0, 2**62, 2**63 - 2])
    length, delay, step = window
    low = after(time, length, delay, step)
    high = upto(time, delay, step) if delay else END_OF_TIME_US
    read = compiled.Windows([window], [(0, "count", -1, 1, 0)]).read
    assert read(times, (), time) == (sum(low < at <= high for at in times),)


class Changing:
    """A column of names that shortens the times when it is read, as another thread might."""

    cells = None

    def __init__(self, times: array[int]) -> None:
        self.times = times

    def distinct(self, *_: int) -> int:
        del self.times[:]
        return 7


@needs_compiled
@pytest.mark.parametrize("op", ["from start", "from end"])
def test_times_that_are_changed_while_they_are_read_are_refused(op: str) -> None:
    """Rather than read from memory that was given back."""
    times = array("q", range(1_000))
    reads = [(0, "distinct", 0, 1, 0), (0, op, -1, 1, 0)]
    with pytest.raises(ValueError, match="stay"):
        compiled.Windows([(2_000, 0, 0)], reads).read(times, (Changing(times),), 999)
    times = array("q", range(1_000))
    reads = [(0, "distinct", 0, 1, 0), (1, "count", -1, 1, 0)]
    read = compiled.Windows([(2_000, 0, 0), (1_000, 0, 0)], reads).read
    assert read(times, (Changing(times),), 999) == (7, 0)


@needs_compiled
def test_codes_have_room_for_one_event_more() -> None:
    for alike, most in (([b""], 1), ([], 0), ([b""], -1), ([b""] * 400, 255)):
        with pytest.raises(ValueError, match="one event more"):
            compiled.Events((), 128, str, alike, most)


@needs_compiled
def test_events_of_other_columns_are_refused() -> None:
    """Before anything is appended."""
    with pytest.raises(ValueError, match="amounts or names"):
        compiled.Events(("total",), 128, str, [b"", b""], 1)
    append, times = compiled.Events(("amounts",), 128, str, [b"", b""], 1).append, array("q")
    for columns, cells in (((), (1,)), ((Amounts(KINDS),), ())):
        with pytest.raises(ValueError, match="of each column"):
            append(times, columns, cells, 1)
    assert not times


def test_rows_may_come_in_any_sequence() -> None:
    """In one call, whatever it is: `vector` of each would take far longer."""
    row: Row = {"one": 1.0, "other": 2, "mcc": "5411"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Preparation, "vector", None)
        assert PREPARATION.vectors((row, row)).tobytes() == PREPARATION.vectors([row] * 2).tobytes()
