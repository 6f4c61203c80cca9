"""Past cases like this one, and who shares a host, an e-mail or a device with it.

Only traits that few cases have say something: what many share, such as a large shop, is no link.
Everything is bounded: the traits of a case that are looked at, the cases of each, and what is
returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from shroff.act.book import CaseBook
from shroff.act.case import Case
from shroff.act.tables import CASES
from shroff.act.traits import MAX_SHARED, REASON, Trait, sharing, traits

MAX_SIMILAR: Final = 5
MAX_LINKS: Final = 12
MAX_LINKED: Final = 6
_MAX_TRAITS: Final = 30
_READ_PAYMENTS: Final = 500
_SUBJECT_POINTS: Final = 3
_LINK_POINTS: Final = 2
_REASON_POINTS: Final = 1


class SharedTrait(NamedTuple):
    """A trait of a case, how many of its payments have it, and the newest cases that do, this one
    among them.
    """

    trait: Trait
    payments: int
    cases: list[int]


class SimilarCase(msgspec.Struct, frozen=True, kw_only=True):
    """A closed case like another: of the same subject, with these values and reasons in common.

    `points` are three for the subject, two for each shared value and one for each shared reason.
    """

    case: Case
    points: int
    same_subject: bool
    shared: tuple[Trait, ...]
    reasons: tuple[str, ...]


class CaseLink(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a case's payments, and other cases that have it.

    `payments` of the case have it; `cases` are the newest others, of `others` in all (counted up to
    50).
    """

    kind: str
    value: str
    payments: int
    cases: tuple[Case, ...]
    others: int


def similar_cases(
    book: CaseBook, case: Case, own: Sequence[SharedTrait], *, reasons: bool
) -> list[SimilarCase]:
    """The closed cases most like one, those with most points first, then the newest.

    Args:
        own: its traits, see `shared_traits`.
        reasons: whether reasons count; not where nobody may see them.
    """
    shared: defaultdict[int, list[Trait]] = defaultdict(list)
    for trait, _, cases in own:
        # a value that many cases have says nothing; reasons are few, so all of them do
        if (trait.kind == REASON and reasons) or (trait.kind != REASON and len(cases) < MAX_SHARED):
            for number in cases:
                shared[number].append(trait)
    closed = (CASES.c.status == "closed", CASES.c.parent.is_(None))
    same = (CASES.c.kind == case.kind, CASES.c.subject == case.subject)
    numbers = {one.id: one for one in book.cases(*closed, *same, limit=MAX_SHARED)}
    for part in book.parts([*shared]):
        alike = book.cases(*closed, CASES.c.id.in_(part), limit=len(part))
        numbers |= {one.id: one for one in alike}
    numbers.pop(case.id, None)
    found = [_similar(case, one, shared.get(one.id, [])) for one in numbers.values()]
    found.sort(key=lambda one: (-one.points, -one.case.id))
    return found[:MAX_SIMILAR]


def links(book: CaseBook, case: Case, own: Sequence[SharedTrait]) -> list[CaseLink]:
    """Values that other cases share with a case, those that fewest cases have first."""
    found = []
    for trait, payments, cases in own:
        others = [number for number in cases if number != case.id]
        common = trait.kind == REASON or len(cases) >= MAX_SHARED
        if common or not others or trait == (case.kind, case.subject):
            continue
        shown = book.cases(CASES.c.id.in_(others[:MAX_LINKED]), limit=MAX_LINKED)
        found.append(
            CaseLink(
                kind=trait.kind,
                value=trait.value,
                payments=payments,
                cases=tuple(shown),
                others=len(others),
            )
        )
    return sorted(found, key=lambda one: (one.others, one.kind, one.value))[:MAX_LINKS]


def shared_traits(book: CaseBook, case: Case) -> list[SharedTrait]:
    """The traits of a case, those of most payments first."""
    newest = [one.payment_id for one in book.payments(case.id)[-_READ_PAYMENTS:]]
    own = [*traits(book, newest).items()][:_MAX_TRAITS]
    return [SharedTrait(trait, count, sharing(book, trait)) for trait, count in own]


def _similar(case: Case, other: Case, shared: list[Trait]) -> SimilarCase:
    same = (other.kind, other.subject) == (case.kind, case.subject)
    values = tuple(one for one in shared if one.kind != REASON and one != (case.kind, case.subject))
    reasons = tuple(one.value for one in shared if one.kind == REASON)
    return SimilarCase(
        case=other,
        points=_SUBJECT_POINTS * same + _LINK_POINTS * len(values) + _REASON_POINTS * len(reasons),
        same_subject=same,
        shared=values,
        reasons=reasons,
    )
