"""What only people know of a model, as a project declares it for its model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError

_MAX_CHARACTERS: Final = 5_000
_MAX_ENTRIES: Final = 100
_WANTED: Final = {
    "owner": "who answers for the model",
    "contact": "where questions and incidents are sent",
    "purpose": "what the model decides, and for whom",
    "uses": "what its decisions are meant to be used for",
    "not_for": "what they must not be used for",
    "data": "which payments it learned from, whose they are, and which are missing",
    "labels": "who says what is fraud, and by when",
    "limits": "where it is known or feared to be wrong",
    "monitoring": "who watches what, how often, and what happens then",
    "approvals": "who approved it, when, and for what",
}


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people declare of a model; `shroff card` adds what the records know.

    A card whose entries are not all there is incomplete. Names between backticks are shown as code.

    Args:
        owner: who answers for the model.
        contact: where questions and incidents are sent.
        purpose: what the model decides, and for whom.
        uses: what its decisions are meant to be used for.
        not_for: what they must not be used for.
        data: which payments it learned from, whose they are, and which are missing.
        labels: who says what is fraud, and by when.
        limits: where it is known or feared to be wrong.
        monitoring: who watches what, how often, and what happens then.
        approvals: who approved it, when, and for what.

    Raises:
        ConfigurationError: an entry that is no text or list of texts, more than 5,000 characters in
            a text or 100 texts in a list.

    >>> card = ModelCard(owner="Payments risk", limits=["It saw no payments by invoice."])
    >>> card.missing()["contact"]
    'where questions and incidents are sent'
    >>> ModelCard(limits="It saw no payments by invoice.")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: ModelCard(limits=…): expected a list of texts, got one text.
    """

    owner: str = ""
    contact: str = ""
    purpose: str = ""
    uses: Sequence[str] = ()
    not_for: Sequence[str] = ()
    data: str = ""
    labels: str = ""
    limits: Sequence[str] = ()
    monitoring: str = ""
    approvals: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value, several = getattr(self, name), not isinstance(_EMPTY[name], str)
            if several and isinstance(value, str):
                raise ConfigurationError(
                    f"ModelCard({name}=…): expected a list of texts, got one text."
                )
            texts = tuple(value) if several else (value,)
            if not all(isinstance(text, str) for text in texts):
                raise ConfigurationError(f"ModelCard({name}=…): expected text, got another value.")
            if len(texts) > _MAX_ENTRIES or any(len(text) > _MAX_CHARACTERS for text in texts):
                raise ConfigurationError(
                    f"ModelCard({name}=…): expected at most {_MAX_ENTRIES} texts of "
                    f"{_MAX_CHARACTERS:,} characters, got more."
                )
            kept = tuple(text.strip() for text in texts if text.strip())
            force_setattr(self, name, kept if several else "".join(kept))

    def missing(self) -> dict[str, str]:
        """The entries that are not there, with what each is to say."""
        return {name: wanted for name, wanted in _WANTED.items() if not getattr(self, name)}


_EMPTY: Final = dict(zip(ModelCard.__struct_fields__, ModelCard.__struct_defaults__, strict=True))
