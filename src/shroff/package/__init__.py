"""Package: everything a decision needs in one folder of ONNX and JSON, checked when it is loaded."""

from shroff.package.bundle import Bundle, load, save

__all__ = ["Bundle", "load", "save"]
