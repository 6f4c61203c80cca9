"""What to do about a gate that refuses: the next step for whoever wanted a promotion."""

from __future__ import annotations

from typing import Final

from shroff.control.history import GateResult

_REMEDIES: Final = {
    "doctor": "Train it again without what the doctor found, or accept a check by its name, with "
    "the reason in your records: `shroff train --accept CHECK`.",
    "parity": "Do not serve it: its features differ between training and service. `shroff parity` "
    "shows the payments.",
    "latency": "Take a simpler detector or fewer features, or allow more milliseconds of processor "
    "time (`--budget-ms`), if those who wait for an answer do.",
    "better": "As the candidate it decides in the shadow: promote it again once more labels have "
    "come in. Where you have reasons that payments do not show, force it: the history says so.",
    "card": "Declare what is missing in the project, and train again; or promote it by `shroff "
    "promote --project PROJECT`, which takes the declarations as they are now.",
}


def remedies(gates: tuple[GateResult, ...]) -> list[str]:
    """What to do about each gate that refused, a sentence or two each, in their order.

    >>> remedies((GateResult("doctor", True, ""), GateResult("parity", False, "")))[0][:16]
    'Do not serve it:'
    """
    return [_REMEDIES[one.gate] for one in gates if not one.passed and one.gate in _REMEDIES]
