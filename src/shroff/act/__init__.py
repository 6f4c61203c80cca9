"""Act: bring what the policy wants reviewed to people, and what they find back as labels.

Reads the ledger in its order; keeps cases, their history and labels to be sent in the control
database. Times are microseconds since the epoch, money is in major units. Promises that at most one
case of a subject is open, that none is decided twice, that every step of a case is in a chained
history, and that a label which a decision gave reaches the ledger once.
"""

from shroff.act.case import Case, CaseEvent, CasePayment, CaseQueue, Outcome
from shroff.act.desk import Desk
from shroff.act.evidence import CaseEvidence, DecisionReplay, gather, look
from shroff.act.intake import CaseIntake
from shroff.act.narrative import narrate
from shroff.act.pack import zip_evidence

__all__ = [
    "Case",
    "CaseEvent",
    "CaseEvidence",
    "CaseIntake",
    "CasePayment",
    "CaseQueue",
    "DecisionReplay",
    "Desk",
    "Outcome",
    "gather",
    "look",
    "narrate",
    "zip_evidence",
]
