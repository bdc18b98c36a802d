"""All checks, in the order of a report."""

from importlib import import_module
from types import MappingProxyType
from typing import Final

from kyc_ml.errors import ConfigError, hint
from kyc_ml.validation.check import FAMILIES
from kyc_ml.validation.outcome import Procedure, procedures

PROCEDURES: Final = MappingProxyType(
    {
        each.check.id: each
        for family in FAMILIES
        for each in procedures(family, vars(import_module(f"kyc_ml.validation.families.{family}")))
    }
)
"""Checks with the functions that run them, by id."""

CHECKS: Final = MappingProxyType({name: each.check for name, each in PROCEDURES.items()})
"""Declarations of the checks, by id."""


def choose_checks(only: tuple[str, ...]) -> tuple[Procedure, ...]:
    """Choose checks by id or family, in the order of a report; all if none is named.

    Raises ConfigError if a name is neither a check nor a family.
    """
    known = {*PROCEDURES, *FAMILIES}
    for name in only:
        if name not in known:
            raise ConfigError(
                f"--only {name!r} is neither a check nor a family{hint(name, known)}; families: "
                f"{', '.join(FAMILIES)}"
            )
    return tuple(
        each
        for name, each in PROCEDURES.items()
        if not only or name in only or each.check.family in only
    )
