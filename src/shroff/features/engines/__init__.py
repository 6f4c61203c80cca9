"""Engines: siblings that compute the same definitions to the same values, to the bit.

`batch` for a table on one machine, `online` for one payment at a time. None of them knows another.
"""
