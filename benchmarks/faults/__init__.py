"""The fault suite: a real service under load, one fault after another, and what became of every
payment.
"""
