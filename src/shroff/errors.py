"""Every error that Shroff raises on purpose.

    ShroffError
    ├── ConfigurationError      a definition, a setting or an option is wrong          (ValueError)
    │   ├── UnknownColumn       a name that the schema does not have                   (KeyError)
    │   ├── UnknownSetting      a `SHROFF_…` variable that no setting has              (KeyError)
    │   ├── UnsuitableSplit     a split that the payment log does not allow
    │   └── InvalidExpression   a SQL condition that does not parse or does not fit
    ├── DataError               what came from outside is unusable                     (ValueError)
    │   ├── BadFile             a file as a whole: missing, unreadable, wrong columns
    │   ├── TooManyBadRows      more unusable rows than allowed
    │   ├── MixedCurrencies     amounts of several currencies would be added or compared
    │   ├── BadPayment          one payment: a missing, unknown or ill-typed value
    │   │   └── OutOfBounds     a well-formed one: its time, or its currency, excludes it now
    │   ├── NothingAccepted     many well-formed messages, of which none is accepted
    │   ├── PaymentConflict     a payment id that was seen with another payload
    │   ├── CaseConflict        a case that was changed meanwhile, or that somebody else has
    │   ├── ProposalConflict    a proposal that was moved meanwhile, or against an older policy
    │   ├── BatchConflict       a batch of the feature store that was written with other rows
    │   └── BrokenChain         a ledger whose records do not follow from each other
    │       └── UnreadableRecord  or of which one holds what the ledger never writes
    ├── NotFound                a payment, a model or a group that does not exist      (KeyError)
    ├── NotFitted               a detector asked to score before it learned
    ├── CheckFailed             the doctor found a fault that nobody accepted
    ├── BundleError             a bundle that is incomplete, altered or of another version
    ├── AccessDenied            an API key that is not for this                   (PermissionError)
    │   ├── UnknownKey          no API key, or none of ours
    │   └── ConsentRequired     a change for which one person, or this person, does not do
    ├── Unavailable             what is needed does not answer: try later         (ConnectionError)
    │   ├── LedgerUnavailable   a decision cannot be made durable
    │   │   └── LedgerAway      because the ledger's database does not answer
    │   ├── StateUnavailable    the online state cannot be reached, or is being rebuilt
    │   │   └── StateGarbled    because it held what no process of ours has put there
    │   ├── ControlUnavailable  keys and lists cannot be read or changed
    │   ├── BrokerUnavailable   Kafka does not answer
    │   ├── StoreUnavailable    the feature store does not answer, or others write
    │   ├── SourceUnavailable   a source of payments does not answer
    │   ├── IndexUnavailable    the index of payments cannot be read or written
    │   └── TooManyRequests     an API key has had its share
    └── MissingExtra            an optional library is not installed                   (ImportError)

Each carries one sentence: what was expected, what came, where, and what to do. It never carries a
payload: names, types and row numbers may appear in a log, values may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final


class ShroffError(Exception):
    """The root of the tree: catch this to catch all of them."""

    def __str__(self) -> str:
        # KeyError would print the repr of its argument; a sentence is a sentence
        return " ".join(str(part) for part in self.args)


class ConfigurationError(ShroffError, ValueError):
    """A definition, a setting or an option is wrong."""


class UnsuitableSplit(ConfigurationError):
    """A split that the payment log does not allow."""


class UnknownColumn(ConfigurationError, KeyError):
    """A name that the schema does not have; of a condition `span` is where, from and to."""

    span: tuple[int, int] | None = None


class UnknownSetting(ConfigurationError, KeyError):
    """A `SHROFF_…` environment variable that no setting has."""


class InvalidExpression(ConfigurationError):
    """A SQL condition that does not parse or does not fit; `span` is where, from and to."""

    span: tuple[int, int] | None = None


class DataError(ShroffError, ValueError):
    """What came from outside is unusable."""


class BadFile(DataError):
    """A file as a whole is unusable: missing, unreadable, or with the wrong columns."""


class TooManyBadRows(DataError):
    """A file has more unusable rows than allowed."""


class MixedCurrencies(DataError):
    """Amounts of several currencies would be added, compared or priced as if they were one."""


class BadPayment(DataError):
    """One payment is unusable: a value is missing, unknown or of the wrong type."""


class OutOfBounds(BadPayment):
    """One well-formed payment or event is excluded by its time, or its currency without a rate."""


class NothingAccepted(DataError):
    """Many well-formed messages came in a row, and none was accepted: the fault is not theirs."""


class PaymentConflict(DataError):
    """A payment id came again with another payload."""


class ProposalConflict(DataError):
    """A proposal that somebody moved meanwhile, or that was made against an older policy."""


class CaseConflict(DataError):
    """A case was changed meanwhile, is closed, or somebody else has claimed it."""


class BatchConflict(DataError):
    """A batch of the feature store came again with other rows."""


class BrokenChain(DataError):
    """Records of the ledger do not follow from each other: it was changed after the fact."""


class UnreadableRecord(BrokenChain):
    """A record of the ledger holds what the ledger never writes, so nothing follows from it."""


class NotFound(ShroffError, KeyError):
    """A payment, a model or a feature group that does not exist."""


class NotFitted(ShroffError):
    """A detector was asked to score before it learned."""


class CheckFailed(ShroffError):
    """The doctor found a fault in a trained detector that nobody accepted."""


class BundleError(ShroffError):
    """A bundle is incomplete, altered, or of a version this release cannot read."""


class AccessDenied(ShroffError, PermissionError):
    """An API key that is good, but not for this."""


class UnknownKey(AccessDenied):
    """No API key, or one that is unknown, expired or revoked."""


class ConsentRequired(AccessDenied):
    """A change that needs a second person's consent, or the consent of another person than this."""


class Unavailable(ShroffError, ConnectionError):
    """Something that is needed does not answer now: the same can be tried again later."""


class LedgerUnavailable(Unavailable):
    """A decision cannot be made durable, so it must not be answered."""


class LedgerAway(LedgerUnavailable):
    """The ledger's database does not answer, for no fault of what was asked."""


class StateUnavailable(Unavailable):
    """The online state cannot be reached or is being rebuilt, so there are no features now."""


class StateGarbled(StateUnavailable):
    """The online state held what no process of ours wrote, so it was dropped and is rebuilt."""


class ControlUnavailable(Unavailable):
    """API keys and lists cannot be read or changed: their database does not answer."""


class BrokerUnavailable(Unavailable):
    """Kafka does not answer."""


class StoreUnavailable(Unavailable):
    """The feature store's storage does not answer, or other writers come first all the time."""


class SourceUnavailable(Unavailable):
    """A database or service that payments are read from does not answer, or breaks off."""


class IndexUnavailable(Unavailable):
    """The index of payments cannot be read or written."""


class TooManyRequests(Unavailable):
    """An API key has had its share of requests for now."""


class MissingExtra(ShroffError, ImportError):
    """An optional library is not installed; the message gives the pip command."""


_MAX_NAME_CHARACTERS: Final = 200


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a sentence that names the closest candidate, or nothing.

    >>> "unknown column `ammount`" + did_you_mean("ammount", ["amount", "currency"])
    'unknown column `ammount`: did you mean `amount`?'
    >>> did_you_mean("zzz", ["amount"])
    ''
    """
    # comparing takes time by the length of both, and no name of ours is long
    close = (
        get_close_matches(name, list(candidates), n=1) if len(name) <= _MAX_NAME_CHARACTERS else []
    )
    return f": did you mean `{close[0]}`?" if close else ""


def one_line(text: object) -> str:
    """A text that somebody else wrote, in one line: its control characters are shown, not obeyed.

    >>> one_line("Object contains unknown field `\\n\\x1b`")
    'Object contains unknown field `\\\\n\\\\x1b`'
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text)
    )
