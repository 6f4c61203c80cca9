"""Promotion: move a model from research to candidate to production through gates.

Reads a bundle, payments with labels, from a log or from the ledger, and what is in production;
money is in major units, durations are in milliseconds. Each gate measures, and says in one sentence
what it found.

Promises that a model moves only if every gate lets it pass or it is forced, and that the history
keeps what they found either way; and that a challenger which saves no money is promoted in at most
5 % of all cases, however often it is looked at.
"""

from shroff.promotion.card import card_gaps, card_records
from shroff.promotion.evidence import Contender, Evidence, from_ledger, from_log
from shroff.promotion.gates import Budget
from shroff.promotion.paired import PairedDecisions, PairedResult, compare_pairs
from shroff.promotion.promote import Promotion, find_bundle, promote
from shroff.promotion.remedies import remedies

__all__ = [
    "Budget",
    "Contender",
    "Evidence",
    "PairedDecisions",
    "PairedResult",
    "Promotion",
    "card_gaps",
    "card_records",
    "compare_pairs",
    "find_bundle",
    "from_ledger",
    "from_log",
    "promote",
    "remedies",
]
