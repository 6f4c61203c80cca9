"""How long payments wait for their answer, against a declared budget: a gate and not a test.

The figures are a service's own (`/metrics`, stage `whole`), since its workers started. A budget
between two bounds of the histogram is held against the upper one, so that a breach is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shroff.errors import AccessDenied, ConfigurationError, SourceUnavailable
from shroff.location import bearer
from shroff.monitor.finding import Finding

_BUCKETS: Final = "shroff_stage_seconds_bucket"
_TIMEOUT_SECONDS: Final = 10.0

Buckets = Mapping[float, float]
"""How many payments took at most so many seconds; of infinity, how many there are."""


def waited(url: str, key: str) -> Buckets:
    """The histogram of a service's whole time for a payment.

    Raises:
        SourceUnavailable: it does not answer, or with something else.
        AccessDenied: the API key is not for this.
        ConfigurationError: it is none.
    """
    headers = {"authorization": bearer(key)} if key else {}
    try:
        answer = httpx.get(f"{url.rstrip('/')}/metrics", headers=headers, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise SourceUnavailable(
            f"expected a service at the URL of --service, got {type(error).__name__}."
        ) from None
    if answer.status_code in (401, 403):
        raise AccessDenied("expected SHROFF_API_KEY to hold a key with the scope `read`.")
    if answer.status_code != 200:
        raise SourceUnavailable(
            f"expected the metrics of the service of --service, got status {answer.status_code}."
        )
    try:
        return buckets(answer.text)
    except (ValueError, KeyError):
        raise SourceUnavailable(
            "expected the metrics of a service at the URL of --service, got another text."
        ) from None


def buckets(text: str) -> Buckets:
    """The buckets in a text of Prometheus.

    >>> buckets('shroff_stage_seconds_bucket{stage="whole",le="0.001"} 5\\n')
    {0.001: 5}
    """
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == _BUCKETS and sample.labels.get("stage") == "whole"
    }


def within_ms(found: Buckets, share: float) -> float | None:
    """The least bound of the histogram, in milliseconds, that such a share of payments keeps.

    None before the first payment, and infinity where more waited longer than the last bound.

    >>> within_ms({0.001: 60, 0.005: 99, float("inf"): 100}, 0.99)
    5.0
    """
    payments = found.get(float("inf"), 0)
    if not payments:
        return None
    return min(1_000 * bound for bound, kept in found.items() if kept >= share * payments)


def findings(found: Buckets, budgets_ms: Mapping[float, float]) -> Iterator[Finding]:
    """A finding for each declared budget: milliseconds by the share of payments that keep it.

    >>> [one.sentence for one in findings({0.05: 97, float("inf"): 100}, {0.99: 40})]
    ['3.00 % of 100 payments waited more than 50 ms; the budget for p99 is 40 ms.']
    """
    payments = found.get(float("inf"), 0)
    for share, most_ms in budgets_ms.items():
        name = f"p{100 * share:g}"
        if not payments:
            yield Finding("latency", name, "info", "The service has decided no payment yet.")
            continue
        bound = min((one for one in found if one * 1_000 >= most_ms), default=float("inf"))
        if bound == float("inf"):
            raise ConfigurationError(
                f"expected a budget of at most {1_000 * max(found.keys() - {bound}):,.0f} ms for "
                f"{name}, the last bound that the service counts, got {most_ms:g}."
            )
        slow = 1 - found[bound] / payments
        kept = slow <= 1 - share + 1e-12
        yield Finding(
            "latency",
            name,
            "info" if kept else "alarm",
            f"{100 * slow:.2f} % of {payments:,.0f} payments waited more than "
            f"{1_000 * bound:g} ms; the budget for {name} is {most_ms:g} ms.",
        )
