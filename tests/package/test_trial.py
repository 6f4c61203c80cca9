"""Models on trial: none hangs, fills or ends the process that would load it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from resource import RUSAGE_CHILDREN, getrusage
from time import process_time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from serve.fixtures import fitted_model, make_bundle
from shroff.control.models import Models
from shroff.detect import Preparation
from shroff.errors import BundleError
from shroff.package import save, trial
from shroff.package.trial import try_model
from shroff.sandbox import standby

INPUTS = Preparation.plain(["a", "b"])
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


FIRST = [
    helper.make_node("Gather", ["X", "zero"], ["column"], axis=1),
    helper.make_node("Reshape", ["column", "flat"], ["first"]),
]
CONSTANTS = [
    constant("zero", np.array([0])),
    constant("flat", np.array([-1])),
    constant("none", np.float32("nan")),
    constant("large", np.float32("inf")),
    constant("most", np.int64(2**62)),
    constant("yes", np.array(True)),
    constant("wide", np.array([6_000, 6_000])),
    constant("endless", np.array([25_000_000_000])),
]


def model(
    nodes: Sequence[onnx.NodeProto],
    *more: onnx.TensorProto,
    shape: Sequence[str | int] = ("N",),
    kind: int = FLOAT,
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    graph = helper.make_graph(
        [*FIRST, *nodes],
        "graph",
        [helper.make_tensor_value_info("X", FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("score", kind, list(shape))],
        [*CONSTANTS, *more],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return bytes(
        helper.make_model(
            graph, ir_version=8, opset_imports=opsets, functions=functions
        ).SerializeToString()
    )


def loop() -> list[onnx.NodeProto]:
    """Adds 1 to the first column, for thousands of years."""
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["on"]),
            helper.make_node("Exp", ["before"], ["after"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
    )
    return [helper.make_node("Loop", ["most", "yes", "first"], ["score"], body=step)]


def branch() -> list[onnx.NodeProto]:
    """The same in a branch."""
    branches = [
        helper.make_graph(
            loop(), "branch", [], [helper.make_tensor_value_info("score", FLOAT, None)]
        )
        for _ in range(2)
    ]
    return [
        helper.make_node("If", ["yes"], ["score"], then_branch=branches[0], else_branch=branches[1])
    ]


def inside() -> bytes:
    """The same in a function."""
    function = helper.make_function(
        "mine", "Turn", ["most", "yes", "first"], ["score"], loop(), [helper.make_opsetid("", 17)]
    )
    call = helper.make_node("Turn", ["most", "yes", "first"], ["score"], domain="mine")
    return model([call], functions=[function])


def products() -> list[onnx.NodeProto]:
    """A large matrix times itself, again and again."""
    nodes = [helper.make_node("ConstantOfShape", ["wide"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{n}", f"m{n}"], [f"m{n + 1}"]) for n in range(200)]
    nodes += [helper.make_node("ReduceMax", ["m200"], ["top"], keepdims=0)]
    return [*nodes, helper.make_node("Add", ["first", "top"], ["score"])]


def expanded() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["first", "zero"], ["one"], axis=0),
        helper.make_node("Expand", ["one", "endless"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["top"], keepdims=0),
        helper.make_node("Add", ["first", "top"], ["score"]),
    ]


def made() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ConstantOfShape", ["endless"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["top"], keepdims=0),
        helper.make_node("Add", ["first", "top"], ["score"]),
    ]


def claims() -> onnx.TensorProto:
    """An array of 100 GB of which there are no bytes."""
    return TensorProto(name="claimed", dims=[25_000_000_000], data_type=FLOAT)


def elsewhere() -> onnx.TensorProto:
    """An array whose bytes are in a file that the graph names."""
    tensor = TensorProto(
        name="claimed", dims=[4], data_type=FLOAT, data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="../../../../../../etc/passwd")
    return tensor


def one(operator: str, *inputs: str) -> list[onnx.NodeProto]:
    return [helper.make_node(operator, list(inputs), ["score"])]


TO_INT = [helper.make_node("Cast", ["first"], ["score"], to=INT64)]
TO_TEXT = [helper.make_node("Cast", ["first"], ["score"], to=TensorProto.STRING)]
SUM = [helper.make_node("ReduceSum", ["first"], ["score"], keepdims=1)]
REST = [
    helper.make_node("Gather", ["claimed", "zero"], ["claim"]),
    helper.make_node("Add", ["first", "claim"], ["score"]),
]

TO_WHOLE = helper.make_node("Cast", ["top"], ["many"], to=INT64)
TOP = helper.make_node("ReduceMax", ["first"], ["top"], keepdims=0)
AS_MANY = [
    TOP,
    TO_WHOLE,
    helper.make_node("Range", ["none_yet", "many", "step"], ["all"]),
    helper.make_node("ReduceSum", ["all"], ["sum"], keepdims=0),
    helper.make_node("Cast", ["sum"], ["claim"], to=FLOAT),
    helper.make_node("Add", ["first", "claim"], ["score"]),
]
STEPS = constant("none_yet", np.int64(0)), constant("step", np.int64(1))


def as_many_as_are_left_out() -> list[onnx.NodeProto]:
    """As many as values are not zero, in a branch."""
    nodes = [
        helper.make_node("NonZero", ["X"], ["places"]),
        helper.make_node("Size", ["places"], ["found"]),
        helper.make_node("Pow", ["wide", "found"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["top"], keepdims=0),
        helper.make_node("Add", ["first", "top"], ["end"]),
    ]
    ends = [helper.make_tensor_value_info("end", FLOAT, None)]
    same = [helper.make_node("Identity", ["first"], ["end"])]
    branches = [helper.make_graph(each, "branch", [], ends) for each in (nodes, same)]
    return [
        helper.make_node("Not", ["yes"], ["no"]),
        helper.make_node("If", ["no"], ["score"], then_branch=branches[0], else_branch=branches[1]),
    ]


def shaped_alike() -> list[onnx.NodeProto]:
    """Sizes that come from the shape of the rows."""
    return [
        helper.make_node("Shape", ["first"], ["rows"]),
        helper.make_node("ConstantOfShape", ["rows"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "rows"], ["still"]),
        helper.make_node("Add", ["first", "still"], ["score"]),
    ]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a loop": (lambda: model(loop()), "has a loop"),
    "a loop in a branch": (lambda: model(branch()), "has a loop"),
    "a loop in a function": (inside, "has a loop"),
    "endless products": (lambda: model(products()), "takes more than 2 seconds"),
    "100 GB by expansion": (lambda: model(expanded()), "memory"),
    "100 GB of nothing": (lambda: model(made()), "memory"),
    "100 GB that are claimed": (lambda: model(REST, claims()), "cannot be loaded|memory"),
    "a file that it names": (lambda: model(REST, elsewhere()), "cannot be loaded"),
    "as many as a value says": (lambda: model(AS_MANY, *STEPS), "how large something is"),
    "as many as values are there": (
        lambda: model(as_many_as_are_left_out()),
        "how large something is",
    ),
    "an operator of the runtime's own": (
        lambda: model([helper.make_node("Gelu", ["first"], ["score"], domain="com.microsoft")]),
        "another domain",
    ),
    "no number": (lambda: model(one("Add", "first", "none")), "no number as the score of 32 of 32"),
    "an infinite score": (
        lambda: model(one("Add", "first", "large")),
        "no number as the score of 32 of 32",
    ),
    "a column for each row": (
        lambda: model(one("Identity", "column"), shape=("N", 1)),
        "one float for each row",
    ),
    "one for all rows": (lambda: model(SUM, shape=(1,)), "one float for each row"),
    "whole numbers": (lambda: model(TO_INT, kind=INT64), "one float for each row"),
    "texts": (lambda: model(TO_TEXT, kind=TensorProto.STRING), "one float for each row"),
    "an operator that there is not": (lambda: model(one("Nonesuch", "first")), "cannot be loaded"),
    "nothing": (lambda: b"", "cannot be loaded"),
    "no graph": (lambda: b"\x00" * 100, "cannot be loaded"),
}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MAX_PROCESSOR_SECONDS", 2)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_refused_in_a_sentence(name: str) -> None:
    make, sentence = BAD[name]
    content, before = make(), process_time()
    with pytest.raises(BundleError, match=sentence) as refused:
        try_model(content, INPUTS)
    assert str(refused.value).startswith("the model ")
    assert "\n" not in str(refused.value)
    assert process_time() - before < 1.0, "this process has run the model itself"


def test_a_process_that_does_not_start_is_no_fault_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when our modules were moved under a service that goes on: it said the model needs too much
    memory.
    """
    monkeypatch.setattr(standby, "_waiting", [])
    monkeypatch.setattr(standby, "_COMMAND", (sys.executable, "-P", "-m", "shroff.gone"))
    with pytest.raises(
        BundleError, match=r"No module named shroff\.gone.*start this process again"
    ):
        try_model(model(shaped_alike()), INPUTS)


def test_sizes_may_come_from_the_shape_of_the_rows() -> None:
    assert try_model(model(shaped_alike()), INPUTS).together


def test_a_process_that_was_started_before_tries_the_next_model() -> None:
    standby.begin()
    (waiting,) = standby._waiting
    assert waiting.poll() is None
    assert try_model(model(one("Abs", "first")), INPUTS).together
    assert waiting.returncode == 0
    with pytest.raises(BundleError, match="cannot be loaded"):
        try_model(b"\x01" * 100, INPUTS)


def test_a_sound_model_is_tried_once() -> None:
    content = model(one("Identity", "first"))
    assert try_model(content, INPUTS).together
    before = process_time()
    assert all(try_model(content, INPUTS).together for _ in range(10))
    assert process_time() - before < 1.0


def test_a_process_that_is_started_by_another_tries_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, other = model(one("Identity", "first")), model(one("Neg", "first"))
    assert try_model(content, INPUTS).together
    verdicts = pickle.loads(pickle.dumps(trial.passed()))  # noqa: S301  # as a worker gets them
    monkeypatch.setattr(trial, "_passed", {})
    trial.trust(verdicts)
    before = getrusage(RUSAGE_CHILDREN).ru_utime
    assert try_model(content, INPUTS).together
    assert getrusage(RUSAGE_CHILDREN).ru_utime == before, "the model was tried again"
    # other bytes are not trusted
    assert try_model(other, INPUTS).together
    assert getrusage(RUSAGE_CHILDREN).ru_utime > before


def test_what_does_not_pass_its_trial_is_not_published(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    save(make_bundle(model(loop())), folder / "bundle")
    with pytest.raises(BundleError, match="has a loop"):
        Models(folder / "models").publish(folder / "bundle")
    assert not (folder / "models").exists()


def test_a_bundle_whose_own_policy_does_not_fit_it_is_not_published(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    policy = {
        "rules": [{"name": "r", "condition": "nope > 1"}],
        "review_at": 0.5,
        "decline_at": 0.9,
    }
    save(make_bundle(fitted_model(), policy=policy), folder / "bundle")
    with pytest.raises(BundleError, match=r"does not fit together: .*unknown column `nope`"):
        Models(folder / "models").publish(folder / "bundle")
