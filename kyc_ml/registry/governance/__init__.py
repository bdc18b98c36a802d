"""Decisions on models, with their evidence, in a tamper-evident record."""
