"""Give a service whatever can be given to it, and print what became of it.

    python -m benchmarks.fuzz
    python -m benchmarks.fuzz --only http --kind digits --cases 300 --seed 7

`described` are requests from the service's own OpenAPI description, `http` hostile ones from
generators that do not know it, `messages` those of Kafka's topics, `bundles` are published beside a
service that runs, it is started from `histories`, and `state` is what it keeps in Redis. A failure
is a crash, a hang, a server error other than 501, 503 and 505, an answer to a request that nobody
made or to another one, a refusal that is no sentence, a feature that is not the batch engine's, a
defect in the log, a neighbour who is refused or waits for more than a second (without what anybody
waited for a processor; five while the state is spoilt), or more than 256 MiB of memory. Exit code 1
when there was one.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from benchmarks.fuzz import http
from benchmarks.fuzz.bundles import fuzz_bundles
from benchmarks.fuzz.described import fuzz_described
from benchmarks.fuzz.histories import fuzz_histories
from benchmarks.fuzz.messages import fuzz_messages
from benchmarks.fuzz.outcome import Outcome, table
from benchmarks.fuzz.state import fuzz_state

Options = argparse.Namespace


def _described(home: Path, chosen: Options) -> Iterator[Outcome]:
    def show(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return fuzz_described(home, examples=chosen.examples, seed=chosen.seed, finished=show)


def _http(home: Path, chosen: Options) -> Iterator[Outcome]:
    kinds = chosen.kind or list(http.KINDS)
    return http.fuzz_http(
        home, cases=chosen.cases, seed=chosen.seed, kinds=kinds, together=chosen.together
    )


def _messages(home: Path, chosen: Options) -> Iterator[Outcome]:
    return fuzz_messages(home, cases=chosen.cases // 5, seed=chosen.seed)


def _bundles(home: Path, chosen: Options) -> Iterator[Outcome]:
    return fuzz_bundles(home, cases=chosen.cases // 20, seed=chosen.seed)


def _histories(home: Path, chosen: Options) -> Iterator[Outcome]:
    return fuzz_histories(home, cases=chosen.cases // 20, seed=chosen.seed)


def _state(home: Path, chosen: Options) -> Iterator[Outcome]:
    return fuzz_state(home, cases=chosen.cases // 20, seed=chosen.seed)


PARTS: Final[dict[str, Callable[[Path, Options], Iterator[Outcome]]]] = {
    "described": _described,
    "http": _http,
    "messages": _messages,
    "bundles": _bundles,
    "histories": _histories,
    "state": _state,
}


def main() -> int:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="this part, and others named so"
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=http.KINDS,
        help="this kind of `http`, and others named so",
    )
    parser.add_argument(
        "--cases", type=int, default=10_000, help="hostile requests; other parts take a share of it"
    )
    parser.add_argument(
        "--together", type=int, default=http.TOGETHER, help="hostile connections at the same time"
    )
    parser.add_argument(
        "--examples", type=int, default=500, help="most random requests an operation of `described`"
    )
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    # ended by `timeout`, it still ends what it started and removes its folder
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console, found = Console(), list[Outcome]()
    with TemporaryDirectory(prefix="shroff-fuzz-") as folder:
        for part in chosen.only or PARTS:
            for one in PARTS[part](Path(folder) / part, chosen):
                found.append(one)
                console.print(
                    f"{one.kind}: {one.cases:,} cases, {len(one.failures)} failures",
                    highlight=False,
                )
                for failure in sorted(set(one.failures)):
                    console.print(f"  {failure}", markup=False, highlight=False)
    console.print(table(found))
    return 1 if any(one.failures for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
