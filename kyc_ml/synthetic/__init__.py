"""A seeded bank with known true risk and known typologies, for tests and first steps.

`make_bank` draws contracted tables and, kept apart, the answer key: what is true of each
row, which no institution would know. `save_bank` writes both as Parquet files.
"""

from kyc_ml.synthetic.bank import Bank, make_bank
from kyc_ml.synthetic.settings import BankConfig, bank_config
from kyc_ml.synthetic.storage import save_bank

__all__ = ["Bank", "BankConfig", "bank_config", "make_bank", "save_bank"]
