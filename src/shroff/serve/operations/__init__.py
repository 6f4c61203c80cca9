"""The native operations: a file per subject, each with a function that returns them as values.

To add an operation, write its handler and its `Operation` (`serve/operation.py`) in the file of its
subject. Its address, scope, problems and OpenAPI entry follow from that value. A new subject is
also a line in `serve/interfaces.py`.
"""
