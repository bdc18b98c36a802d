"""A seeded bank with known true risk and known typologies, for tests and first steps.

`make_bank` draws contracted tables and, separately, the answer key: the truth about each row,
which a bank would not know. `save_bank` writes both as Parquet files.
"""
