"""Package: everything a decision needs in one folder, a bundle, of ONNX and JSON.

`save` writes a `Bundle` whole or not at all, `load` and `read` give it back, `unpack` reads one
from bytes. Reads a trained detector's ONNX graph, preparation, calibration, schema, features,
policy and held-out scores. Promises that nothing in a bundle is executable, that every file is
checked against its SHA-256, and (`check_model`) that the graph gives the detector's scores. An
unreadable or altered bundle is a BundleError.
"""

from shroff.package.bundle import Bundle, load, read, require_free, save, unpack
from shroff.package.trial import try_model
from shroff.package.verify import check_model

__all__ = ["Bundle", "check_model", "load", "read", "require_free", "save", "try_model", "unpack"]
