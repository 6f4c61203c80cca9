"""What the service tells of itself: figures for Prometheus, traces for OpenTelemetry, logs for people and machines.

None of them holds a payload or a token. What the path of a payment pays is a few additions to plain numbers
(`Meter`); everything else happens when Prometheus asks.
"""
