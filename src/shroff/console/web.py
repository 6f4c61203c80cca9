"""Requests, answers and connections of the HTTP library, as the console annotates them."""

from __future__ import annotations

from typing import Any

import litestar
from litestar.connection import ASGIConnection

Request = litestar.Request[Any, Any, Any]
Response = litestar.Response[Any]
Connection = ASGIConnection[Any, Any, Any, Any]
