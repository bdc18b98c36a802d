"""Probability to tier under a governed policy, and what follows from a tier.

A policy (`TierPolicy`, a YAML file) holds cut-offs, segments, overrides, the expert rating's
part, hysteresis, review intervals and calendar; `grade` applies it to a feature table.
`propose` says which cut-offs the policy's own targets would ask for.
"""
