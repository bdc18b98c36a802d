"""Drop features that are useless against noise or unstable over time, each with its reason.

Only training rows may be used: rows that stop, calibrate or test a model would leak
into the choice.
"""
