"""Control: what people change while the service runs: API keys, lists, rates, reference tables,
models, policies; and the keys of subjects, under which the ledger seals records.

Reads a database that all workers share, and the folder of published models. Times are microseconds
since the epoch, the rate of a key is requests or payments a second.

Promises that a change takes effect within seconds and without a restart, that every change stays in
a history, and that while the database is away, what was read last stays in force. Only a destroyed
key leaves nothing behind.
"""

from shroff.control.gate import Gate
from shroff.control.keys import SCOPES, ApiKey, Keys, Scope
from shroff.control.lists import Lists, listed_value
from shroff.control.live_lists import LiveLists
from shroff.control.outage import Outage
from shroff.control.rates import LiveRates, StoredRates, holding
from shroff.control.replacements import Replacement, ReplacementRecord
from shroff.control.subject_keys import LiveKeyring, SubjectKeys, reading_keyring
from shroff.control.tables import LiveTables, StoredTables, in_force
from shroff.decide.lists import Edit, Effective, effective

__all__ = [
    "SCOPES",
    "ApiKey",
    "Edit",
    "Effective",
    "Gate",
    "Keys",
    "Lists",
    "LiveKeyring",
    "LiveLists",
    "LiveRates",
    "LiveTables",
    "Outage",
    "Replacement",
    "ReplacementRecord",
    "Scope",
    "StoredRates",
    "StoredTables",
    "SubjectKeys",
    "effective",
    "holding",
    "in_force",
    "listed_value",
    "reading_keyring",
]
