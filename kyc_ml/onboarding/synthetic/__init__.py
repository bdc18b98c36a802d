"""A seeded bank with known true risk and known typologies, for tests and first steps.

`make_bank` draws contracted tables and, kept apart, the answer key: what is true of each
row, which no institution would know. `save_bank` writes both as Parquet files.
"""
