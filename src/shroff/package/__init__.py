"""Package: everything a decision needs in one folder of ONNX and JSON, checked when it is loaded."""

from shroff.package.bundle import Bundle, load, read, require_free, save, unpack
from shroff.package.trial import try_model
from shroff.package.verify import check_model

__all__ = ["Bundle", "check_model", "load", "read", "require_free", "save", "try_model", "unpack"]
