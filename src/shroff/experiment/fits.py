"""The finished fits of a run, kept until it has ended, so that a killed run goes on after them.

A fit is kept as what it leaves: figures, held-out scores in bins, probabilities of the test part
and the graph in ONNX. It is found again by the digest of all that it follows from: the table and
its order, the rows of the split and of its folds, the detector with its parameters, costs, lists
and the versions of the libraries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from sklearn.base import BaseEstimator

from shroff.arrays import Matrix, Scores
from shroff.collect.sources import written_whole
from shroff.detect import Calibration, Detector, Preparation
from shroff.detect.base import ALL_NUMERIC, as_matrix
from shroff.detect.calibration import CalibrationJson
from shroff.detect.checks import Finding
from shroff.detect.graph import INPUT, OUTPUT
from shroff.detect.preparation import PreparationJson
from shroff.errors import BadFile, ConfigurationError
from shroff.evaluate import DailyCosts, HeldOut, Metrics, Split, Thresholds
from shroff.experiment.dataset import Dataset
from shroff.experiment.prequential import FoldFigures
from shroff.experiment.record import code_versions
from shroff.experiment.training import Trained, TrainingJob
from shroff.plain import read_plain
from shroff.private import private_folder

if TYPE_CHECKING:
    from shroff.experiment.tune import Tuning


_MAX_BYTES: Final = 4 << 30
_DIGEST_BYTES: Final = 32
"""A kept fit begins with the SHA-256 of the rest."""


class _Fit(msgspec.Struct, kw_only=True):
    name: str
    model: bytes
    conditions: tuple[str, ...]
    preparation: PreparationJson
    calibration: CalibrationJson
    thresholds: Thresholds
    kept: HeldOut
    daily: DailyCosts
    held_out: float
    train: Metrics
    test: Metrics
    judged: bytes
    seconds: float
    test_with_known_cards: Metrics | None
    tuning: dict[str, Any] | None
    findings: tuple[Finding, ...]
    prequential: tuple[FoldFigures, ...] = ()


class FittedGraph(Detector):
    """A detector that has learned, as its graph: it scores and is packaged, and learns no more."""

    name: ClassVar[str] = "fitted_graph"
    needs_labels: ClassVar[bool] = False

    def __init__(self, model: bytes, conditions: Collection[str] = ()) -> None:
        self.model = model
        self.conditions = tuple(conditions)

    def fit(
        self, X: Matrix, y: npt.ArrayLike | None = None, *, nominal: Mapping[int, int] = ALL_NUMERIC
    ) -> Self:
        """Raises ConfigurationError: a graph does not learn."""
        raise ConfigurationError("a graph that was fitted does not learn: fit its detector again.")

    def score(self, X: Matrix) -> Scores:
        """The score of each row as the graph gives it, float64 [rows] of float32."""
        import onnxruntime  # slow to import, and only a run that goes on needs it

        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        scores: Scores = session.run([OUTPUT], {INPUT: as_matrix(X)})[0].astype(np.float64)
        return scores

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        return onnx.load_model_from_string(self.model)


@dataclass(frozen=True)
class Fits:
    """The fits that are kept in a folder, a file each, for their owner only."""

    folder: Path

    def find(self, key: str) -> Trained | None:
        """The fit of a digest; None where it is not kept.

        Raises:
            BadFile: it cannot be read, or is not as it was written.
        """
        path = self.folder / key
        try:
            content = read_plain(path, _MAX_BYTES)
        except FileNotFoundError:
            return None
        if sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
            raise BadFile(f"{path}: expected a finished fit, got a damaged one; remove it.")
        found = msgspec.msgpack.decode(content[_DIGEST_BYTES:], type=_Fit)
        return Trained(
            **{name: getattr(found, name) for name in _PLAIN_FIELDS},
            tuning=_tuning(found.tuning),
            detector=FittedGraph(found.model, found.conditions),
            preparation=Preparation.from_json(found.preparation),
            calibration=Calibration.from_json(found.calibration),
            judged=np.frombuffer(found.judged),
        )

    def keep(self, key: str, one: Trained) -> Trained:
        """Keep a fit under its digest."""
        made = _Fit(
            **{name: getattr(one, name) for name in _PLAIN_FIELDS},
            tuning=msgspec.to_builtins(one.tuning, enc_hook=_plain),
            model=one.detector.to_onnx().SerializeToString(),
            conditions=tuple(one.detector.conditions),
            preparation=one.preparation.to_json(),
            calibration=one.calibration.to_json(),
            judged=one.judged.tobytes(),
        )
        private_folder(self.folder)
        content = msgspec.msgpack.encode(made)
        with written_whole(self.folder / key, private=True) as file:
            file.write(sha256(content).digest() + content)
        return one


_PLAIN_FIELDS = (
    "name",
    "thresholds",
    "kept",
    "daily",
    "held_out",
    "train",
    "test",
    "seconds",
    "test_with_known_cards",
    "findings",
    "prequential",
)


def table_digest(data: Dataset) -> str:
    """SHA-256 of a dataset's table and of the order of its rows."""
    order = data.table[data.schema.id].hash().to_numpy().tobytes()
    return sha256(data.fingerprint().encode() + order).hexdigest()


def fit_digest(job: TrainingJob, table: str, *, tune: int, successive: Iterable[Split] = ()) -> str:
    """SHA-256 of all that a fit follows from; `table` is the `table_digest` of its dataset,
    `successive` are the folds for which the detector learns anew.
    """
    anew = [rows for fold in successive for rows in (fold.train, fold.test)]
    parts = (job.rows.train, job.rows.test, job.rows.known_cards, *anew)
    found = sha256(table.encode())
    for rows in (*parts, *(rows for fold in job.folds for rows in fold)):
        found.update(len(rows).to_bytes(8))
        found.update(rows.tobytes())
    if job.dataset.repeats is not None:
        found.update(job.dataset.repeats.tobytes())
    data, lists = job.dataset, {name: sorted(values) for name, values in job.lists.items()}
    given = (job.cost, job.capacity, job.k, job.thorough, tune, code_versions())
    inputs = (data.numeric, data.nominal, data.card)
    found.update(repr((_described(job.detector), sorted(lists.items()), inputs, given)).encode())
    return found.hexdigest()


def _described(value: object) -> object:
    """A detector with all its parameters, which its own text would shorten."""
    if isinstance(value, BaseEstimator):
        given = sorted(value.get_params(deep=False).items())
        return type(value).__qualname__, [(name, _described(one)) for name, one in given]
    if isinstance(value, list | tuple):
        return [_described(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _tuning(given: dict[str, Any] | None) -> Tuning | None:
    if given is None:
        return None
    from shroff.experiment.tune import Tuning  # Optuna is slow to import

    return msgspec.convert(given, Tuning)


def _plain(value: Any) -> Any:
    """A number of NumPy's, such as a tuned parameter, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"cannot keep a {type(value).__name__}")
