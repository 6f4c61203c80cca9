"""The list of all interfaces that are answered beside the native routes."""

from __future__ import annotations

from shroff.control import Gate
from shroff.scoring.scorer import Scorer
from shroff.serve import batch
from shroff.serve.interface import Interface, Interfaces
from shroff.serve.protocols import azureml, mlflow, openinference, tfserving
from shroff.serve.protocols.azureml import Naming


def interfaces(
    scorer: Scorer, *others: Interface, gate: Gate | None = None, naming: Naming | None = None
) -> Interfaces:
    """All interfaces over a scorer.

    Args:
        others: what is answered beside the protocols.
        gate: who may ask; None lets everybody.
        naming: how Azure ML answers look where the request does not tell.
    """
    return Interfaces(
        [
            batch.interface(scorer),
            azureml.interface(scorer, naming or Naming()),
            openinference.interface(scorer),
            tfserving.interface(scorer),
            mlflow.interface(scorer),
            *others,
        ],
        gate,
    )
