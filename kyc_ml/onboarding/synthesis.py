"""run_synth: a synthetic bank in a folder."""

from pathlib import Path

from kyc_ml.display import ProgressReporter
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.onboarding.synthetic.settings import BankConfig
from kyc_ml.onboarding.synthetic.storage import save_bank


def run_synth(
    *, bank: BankConfig, out: Path, overwrite: bool, reporter: ProgressReporter
) -> dict[str, int]:
    """Create a synthetic bank, write its tables and return the number of rows by table."""
    reporter.progress("making the bank", 0, 2)
    made = make_bank(bank)
    reporter.progress("making the bank", 1, 2)
    save_bank(made, out, overwrite=overwrite)
    reporter.progress("making the bank", 2, 2)
    return {name: table.num_rows for name, table in made.tables.items()}
