"""The list of all operations: the service's own, and the protocols of other systems."""

from __future__ import annotations

from functools import partial

from shroff.act import Desk
from shroff.scoring.forgetting import Eraser
from shroff.scoring.scorer import Scorer
from shroff.serve.example import example_payment
from shroff.serve.help import help_operations
from shroff.serve.metrics import scraped
from shroff.serve.openapi import Document
from shroff.serve.operation import Interface, native
from shroff.serve.operations.batch import batch
from shroff.serve.operations.cases import case_operations
from shroff.serve.operations.deployed import deployed
from shroff.serve.operations.forgettings import forgettings
from shroff.serve.operations.health import health
from shroff.serve.operations.lists import list_operations
from shroff.serve.operations.payments import hot, payments
from shroff.serve.operations.rates import rate_operations
from shroff.serve.payment import payment
from shroff.serve.protocols import azureml, mlflow, openinference, tfserving
from shroff.serve.protocols.azureml import Naming
from shroff.telemetry.registry import Registry


def interfaces(
    scorer: Scorer,
    figures: Registry,
    *,
    naming: Naming | None = None,
    desk: Desk | None = None,
    eraser: Eraser | None = None,
) -> list[Interface]:
    """All interfaces over a scorer.

    Args:
        figures: what `/metrics` shows.
        eraser: forgets people in the scorer's ledger.
        naming: the form of Azure ML answers where the request leaves it open.
        desk: the cases that people work on.
    """
    schema, bundle = scorer.reader.schema, scorer.bundle
    example = partial(example_payment, schema, bundle.preparation, currency=bundle.currency)
    own = [
        *hot(scorer, payment(schema, example)),
        batch(scorer),
        *payments(scorer),
        *deployed(scorer),
        *([] if scorer.lists is None else list_operations(scorer, scorer.lists)),
        *([] if scorer.rates is None else rate_operations(scorer, scorer.rates)),
        *([] if desk is None else case_operations(desk, scorer.ledger)),
        *([] if eraser is None else forgettings(scorer, eraser)),
        *health(scorer),
        scraped(figures),
    ]
    protocols = [
        azureml.interface(scorer, naming or Naming()),
        openinference.interface(scorer),
        tfserving.interface(scorer),
        mlflow.interface(scorer),
    ]
    document = Document([native(own), *protocols])
    return [native([*own, *help_operations(document)]), *protocols]
