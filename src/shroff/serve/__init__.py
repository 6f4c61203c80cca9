"""Serve: the scoring service over HTTP, from the bytes of a request to the bytes of its answer.

What is decided, and that it is durable, is the work of `shroff.scoring`; here are connections, routes, the interfaces
of other systems, problems as RFC 9457, the help page, and the processes that answer.
"""
