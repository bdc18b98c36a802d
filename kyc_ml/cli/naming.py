"""How `--help` lists commands, in groups and a line each, and names what an option takes."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

LONGEST: Final = 45
"""Characters of a summary: it stands on one line of a narrow terminal, uncut."""

TOP: Final = {
    "Data": {
        "init": "Propose configurations for your own files",
        "check": "Read a source and report its quality",
        "config": "Show which keys a configuration takes",
        "features": "Compute features, or look one up",
        "audit": "Test that no feature knows the future",
        "synth": "Make a synthetic bank with an answer key",
    },
    "Model": {
        "train": "Train, calibrate and register a model",
        "tune": "Search better parameters of a model",
        "compare": "Compare a challenger with the champion",
        "reproduce": "Train again from a run's own record",
        "register": "Register a bundle that training has kept",
        "demo": "Run the whole path on a synthetic bank",
    },
    "Score": {
        "score": "Score a batch, with tiers and reasons",
        "explain": "Explain one score and its tier",
    },
    "Tiers": {"tiers": "Propose, show, check and compare tiers"},
    "Validate": {
        "validate": "Validate a model against a policy",
        "report": "Write the page of a validation again",
        "sign-off": "Conclude on a validation report",
        "findings": "List open findings and conditions of use",
    },
    "Govern": {
        "promote": "Make a validated version champion",
        "rollback": "Return to the champion before",
        "withdraw": "Withdraw the champion without another",
        "audit-log": "Verify or show the record of decisions",
    },
}
"""Commands by what they are for, in the order of the work."""

INSIDE: Final = {
    "features": {
        "build": "Compute features as known at decisions",
        "list": "List features and what they mean",
        "show": "Show one feature and its definition",
    },
    "tiers": {
        "fit": "Propose cut-offs from mature outcomes",
        "show": "Show a policy as tables",
        "check": "Check that a policy is in force",
        "moves": "Compare the tiers of two scorings",
    },
    "audit-log": {
        "verify": "Find edits, removals and a cut end",
        "show": "List entries, or show one in full",
    },
}
"""The same for the commands of a group."""

_TAKEN: Final = {
    **dict.fromkeys(("model", "challenger", "champion"), "MODEL"),
    **dict.fromkeys(("validator", "approver", "name", "family"), "NAME"),
    "observation": "ID",
    "run": "RUN",
    "key": "KEY",
    "only": "CHECK",
    "receipt": "RECEIPT",
    "finding": "ID=OWNER,DUE",
    "owner": "OWNER,DUE",
    "timezone": "ZONE",
    "currency": "CODE",
    "memory": "SIZE",
}
"""What options and arguments of text take; all others take TEXT."""

_KINDS: Final = {int: "N", float: "NUMBER", datetime: "DATE"}
_PLACE: Final = re.compile(r"folder|file|json|yaml|html|csv", re.IGNORECASE)
"""A path is of what its help names first."""


def name_values(parameters: list[Any], function: Callable[..., object]) -> None:
    """Name what each parameter of a command takes, such as DATE or FILE; choices name themselves.

    Parameters
    ----------
    parameters : list of typer's parameters
    function : callable
        What the command runs; its annotations say the kinds.
    """
    kinds = typing.get_type_hints(getattr(function, "__wrapped__", function))
    for parameter in parameters:
        if parameter.metavar is not None or parameter.name not in kinds:
            continue
        taken = _taken(kinds[parameter.name], parameter)
        if parameter.param_type_name == "argument":  # whose metavar is its name
            parameter.metavar = str(parameter.name).upper()
            shown = "" if taken in (None, "TEXT", parameter.metavar) else taken
            parameter.display_type_rich = partial(_shown, shown)
        else:
            parameter.metavar = taken


def _shown(taken: str, **_: object) -> str:
    return taken


def _taken(kind: Any, parameter: Any) -> str | None:  # noqa: ANN401  as typing and typer have them
    inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
    if typing.get_origin(kind) in (typing.Union, types.UnionType, list) and len(inner) == 1:
        return _taken(inner[0], parameter)
    if kind is Path:
        named = _PLACE.search(parameter.help or "")
        return "FOLDER" if named is not None and named[0].lower() == "folder" else "FILE"
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(typing.get_args(kind))
    if kind is str:
        return _TAKEN.get(parameter.name, "TEXT")
    return _KINDS.get(kind)
