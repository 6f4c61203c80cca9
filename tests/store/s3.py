"""An S3 server of moto in which, as in S3, of two conditional puts of one object one loses:
`python -m store.s3 PORT`.

Moto answers requests in threads, and between looking for an object and keeping another it may
answer a second one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


def main(port: int) -> None:
    """Serve until killed."""
    moto = DomainDispatcherApplication(create_backend_app)
    turn = Lock()

    def one_by_one(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with turn:
            return moto(environment, start)  # type: ignore[no-any-return]  # a WSGI application

    run_simple("127.0.0.1", port, one_by_one, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
