"""Tracking: mirror recorded runs and the stages of models into MLflow, where teams compare them.

Reads the records of `shroff train`, the pointers of published models, and the URL of an MLflow
server or database. Times there are milliseconds since 1970, UTC.

Promises that our records and history stay the truth: a mirror runs in a process of its own, so that
a server which is lost, slow or refuses breaks no training and holds none up for more than a minute;
what is sent again is there once; and no message repeats a login of a URL.
"""

from shroff.tracking.mirror import Mirror, RunMirror

__all__ = ["Mirror", "RunMirror"]
