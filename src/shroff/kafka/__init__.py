"""Payments from one Kafka topic, decisions to another: exactly once in effect.

The ledger is the truth. A message counts as read only when its decision is durable *and* Kafka has taken the
answer; whatever was on its way at a crash is read again, found in the ledger, and answered with the same bytes.
"""
