"""Requests over HTTP."""

from __future__ import annotations

from typing import Final

import httpx

TRUST: Final = httpx.create_ssl_context()
"""For `verify` of a client or request, also over plain HTTP: to make one takes 30 ms of the
processor, and a test that waits asks often.
"""
