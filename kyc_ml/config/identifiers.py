"""The one form that identifiers take."""

from typing import Literal

from kyc_ml.config.section import Section, Words


class IdentifierForm(Section):
    """The one form of identifiers, in every table and in files that name customers.

    It holds for every contracted column whose name ends in `_id`.
    """

    trim: bool = True
    """Remove white space around an identifier, and invisible characters in it."""
    quotes: Literal["keep", "strip"] = "keep"
    """Quotation marks around it, and the ="..." that Excel writes."""
    width: Literal["keep", "half"] = "keep"
    """Full-width letters and digits (１２) made ordinary ones."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """Letters made lower or upper case."""
    leading_zeros: Literal["keep", "drop"] = "keep"
    """Zeros before an identifier, such as text has and a number cannot have."""
    floats: Literal["refuse", "whole", "keep"] = "refuse"
    """What was written as a float, 12345.0 or 1.1E+17: refused; `whole` takes 12345 for
    12345.0; `keep` takes all as they are."""
    nulls: Words = ()
    """Words that mean "no identifier", such as NULL, as the files write them."""
