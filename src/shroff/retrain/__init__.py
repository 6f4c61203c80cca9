"""Retrain: learn again from what the ledger knows, and guard what decides.

Reads the ledger's records, a project's definitions and the model in production; times are in
microseconds since the epoch. `retrain` makes a model of the payments whose outcome is known, with
those of the control lane standing for the ones that were not let pass, and registers it behind the
gates of `promotion`; `guard` takes back a model that breaches a declared limit.

Promises that the same records and definitions make one model, however often and by how many
processes it is asked for; that a process that is killed leaves no half candidate; and that a
rollback is in the chained history with what was measured.
"""

from shroff.retrain.guard import Guarded, Guardrails, guard
from shroff.retrain.run import Order, Retrained, retrain
from shroff.retrain.schedule import RetrainingTerms

__all__ = ["Guarded", "Guardrails", "Order", "Retrained", "RetrainingTerms", "guard", "retrain"]
