"""Package: everything a decision needs in one folder of ONNX and JSON, checked when it is loaded."""

from shroff.package.bundle import Bundle, load, save
from shroff.package.models import Models, Pointers
from shroff.package.verify import check_model

__all__ = ["Bundle", "Models", "Pointers", "check_model", "load", "save"]
