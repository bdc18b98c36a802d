"""A source mapping proposed for unknown files: look, guess, try, write.

Names, types and shapes of values are the evidence; every expression is tried on a sample
before it is proposed, and what the files do not decide is left to the user.
"""

from kyc_ml.proposal.families import Family, items_of, weigh_families
from kyc_ml.proposal.guesses import Guess, Proposal, TableProposal
from kyc_ml.proposal.proposing import propose_source
from kyc_ml.proposal.run_files import RunFile, run_files, tiers_text
from kyc_ml.proposal.writing import write_source

__all__ = [
    "Family",
    "Guess",
    "Proposal",
    "RunFile",
    "TableProposal",
    "items_of",
    "propose_source",
    "run_files",
    "tiers_text",
    "weigh_families",
    "write_source",
]
