"""Patterns of money flow that a customer's own rows show, with their numbers, dates and rows.

`find_patterns` says what is seen, never that it is laundering: payroll, rent and trade look alike.
The patterns, their parameters and sentences are in ``patterns.yaml``.
"""
