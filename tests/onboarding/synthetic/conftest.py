import pytest

from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig


@pytest.fixture(scope="session")
def bank():
    return make_bank(BankConfig())


@pytest.fixture(scope="session")
def rows(bank):
    """Transactions with what is true of them."""
    transactions = bank.tables["transactions"].to_pandas()
    truth = bank.answer_key["transactions"].to_pandas().drop(columns="transaction_id")
    return transactions.join(truth)


@pytest.fixture(scope="session")
def small_config():
    return BankConfig(transactions=5_000, seed=0)


@pytest.fixture(scope="session")
def small_bank(small_config):
    return make_bank(small_config)
