"""Payments as the tests of the service make them."""

from serve.conftest import pay

__all__ = ["pay"]
