"""Package: everything a decision needs in one folder, a bundle, of ONNX and JSON.

`save` writes a `Bundle` whole or not at all, `load` and `read` give it back, `unpack` reads one
from bytes; `write_pyfunc` and `write_saved_model` write its model for other servers. Reads a
trained detector's ONNX graph, preparation, calibration, schema, features, policy and held-out
scores. Promises that nothing in a bundle is executable, that every file is
checked against its SHA-256, and (`check_model`) that the graph gives the detector's scores. An
unreadable or altered bundle is a BundleError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading
from shroff.package.bundle import Bundle, load, read, require_free, save, unpack
from shroff.package.trial import try_model
from shroff.package.verify import check_model

if TYPE_CHECKING:
    from shroff.package.inputs import model_inputs
    from shroff.package.pyfunc import write_pyfunc
    from shroff.package.saved_model import write_saved_model

__all__ = [
    "Bundle",
    "check_model",
    "load",
    "model_inputs",
    "read",
    "require_free",
    "save",
    "try_model",
    "unpack",
    "write_pyfunc",
    "write_saved_model",
]

# the service packages nothing
__getattr__ = loading(
    __name__,
    {"model_inputs": "inputs", "write_pyfunc": "pyfunc", "write_saved_model": "saved_model"},
)
