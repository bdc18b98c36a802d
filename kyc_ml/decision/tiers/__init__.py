"""From probability to tier under an approved policy, and what follows from a tier.

A policy (`TierPolicy`, a YAML file) contains cut-offs, segments, overrides, the expert rating,
hysteresis, review intervals and calendar; `grade` applies it to a feature table. `propose`
computes the cut-offs that the policy's targets require.
"""
