"""Backtest: replay a period through a whole policy, as everything would have been known then.

Reads a bundle and a policy, and payments of a log with labels or of the ledger; amounts and costs
are in major units of the policy's currency, times in microseconds since the epoch. Each payment is
decided by the features, lists, exchange rates, reference tables and probability of its moment, and
the current policy decides it too.

Promises the decider's own decisions to the bit; that nothing which came later (a payment, a label,
an edit of a list, a table) changes one; and that known, censored and immature outcomes stay apart:
what nobody knows widens bounds, and is never guessed.
"""

from shroff.backtest.bench import RuleBench
from shroff.backtest.logged import clean_log, past_of_log, replaced_by
from shroff.backtest.past import Past
from shroff.backtest.recent import RecentPast
from shroff.backtest.recorded_past import past_of_ledger
from shroff.backtest.replay import Backtest, Side, backtest
from shroff.backtest.trial import ExamplePayment, Trial, trial
from shroff.backtest.variant import rule_of, variant

__all__ = [
    "Backtest",
    "ExamplePayment",
    "Past",
    "RecentPast",
    "RuleBench",
    "Side",
    "Trial",
    "backtest",
    "clean_log",
    "past_of_ledger",
    "past_of_log",
    "replaced_by",
    "rule_of",
    "trial",
    "variant",
]
