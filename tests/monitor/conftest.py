"""Payments as the tests of the service make them."""

from serve.fixtures import pay

__all__ = ["pay"]
