"""Demo: the whole path once on simulated payments, and six months of a service in seconds.

Reads nothing but a seed and a moment, in microseconds since the epoch, and writes everything into
one folder. Promises that the months are lived by the parts that users run:
every decision is the scorer's and can be replayed, every case was opened from the ledger, every
gate of a promotion was measured; the same moment and seed give the same payments and decisions.
"""

from __future__ import annotations

from shroff.demo.installation import USER, DemoInstallation, open_months
from shroff.demo.months import DemoMonths, live_months
from shroff.demo.tour import DemoTour, tour
from shroff.demo.walk import DemoResult, run_demo

__all__ = [
    "USER",
    "DemoInstallation",
    "DemoMonths",
    "DemoResult",
    "DemoTour",
    "live_months",
    "open_months",
    "run_demo",
    "tour",
]
