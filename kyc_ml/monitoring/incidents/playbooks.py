"""Playbooks: the steps of an incident, and the departments that are notified."""

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from kyc_ml.config import FilledText, Section, load_section, refuse_faults
from kyc_ml.decision import PointCondition
from kyc_ml.errors import ConfigError, hint

Action = Literal[
    "hold", "release", "rating", "model", "rollback", "withdraw", "floor", "notify"
]  # fmt: skip
_NEEDS = {"rating": "config", "floor": "rule", "notify": "departments"}


_Found = TypeVar("_Found")


def _find(name: str, known: Mapping[str, _Found], what: str) -> _Found:
    if name not in known:
        raise ConfigError(f"no {what} is named {name!r}{hint(name, known)}: {', '.join(known)}")
    return known[name]


class Department(Section):
    """A department that takes part."""

    name: FilledText
    """Its name."""
    name_zh: FilledText
    """Its name in Chinese."""
    routes: tuple[FilledText, ...] = Field(min_length=1)
    """Routes of the alerts' configuration by which it is notified."""


class FloorRule(Section):
    """A lowest tier for the customers who meet all conditions, such as those of a typology."""

    code: FilledText
    """Short code that score rows carry."""
    english: FilledText
    """What it is, in English."""
    chinese: FilledText
    """The same in Chinese."""
    source: FilledText
    """Where the rule comes from."""
    when: tuple[PointCondition, ...] = Field(min_length=1)
    """Conditions that must all be met."""
    floor: FilledText
    """Lowest tier that it allows."""
    days: int = Field(gt=0, le=366)
    """Days until it expires, counted from the day of the step."""


class Step(Section):
    """One step. Nothing is done before a person says so."""

    step: FilledText
    """Name of the step, which commands use."""
    action: Action
    """hold: score but do not publish; release: publish again; rating: let the scorecard score;
    model: let the model score again; rollback, withdraw: change the champion; floor: raise the
    tiers of some customers; notify: inform departments."""
    config: str | None = None
    """For rating: the run configuration whose tier policy has the card."""
    rule: FloorRule | None = None
    """For floor: whose tiers are raised."""
    departments: tuple[FilledText, ...] = ()
    """For notify: names of departments."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needed = _NEEDS.get(self.action)
        refuse_faults(
            f"{name} is {'needed by' if name == needed else 'not a key of'} action {self.action}"
            for name in _NEEDS.values()
            if bool(getattr(self, name)) != (name == needed)
        )
        return self


class Playbook(Section):
    """What to do about some signals."""

    name: FilledText
    """Its name."""
    signals: tuple[FilledText, ...] = Field(min_length=1)
    """Codes of the signals that open an incident, such as `level.*`."""
    steps: tuple[Step, ...] = Field(min_length=1)
    """Its steps, in the order in which they are usually taken."""

    @model_validator(mode="after")
    def _names_steps_once(self) -> Self:
        counts = Counter(each.step for each in self.steps)
        refuse_faults(f"step {name!r} is given twice" for name, n in counts.items() if n > 1)
        return self

    def find(self, name: str) -> Step:
        """Return a step by its name; ConfigError if it does not exist; lists those that do."""
        return _find(name, {each.step: each for each in self.steps}, f"step in {self.name}")


class Playbooks(Section):
    """All playbooks; the first that fits a signal is used."""

    departments: dict[str, Department] = Field(default_factory=dict)
    """Departments by name."""
    playbooks: tuple[Playbook, ...] = Field(min_length=1)
    """The playbooks."""

    @model_validator(mode="after")
    def _departments_exist(self) -> Self:
        refuse_faults(
            f"step {step.step!r} of {playbook.name}: {name!r} is not a department; known: "
            f"{', '.join(self.departments) or 'none'}"
            for playbook in self.playbooks
            for step in playbook.steps
            for name in step.departments
            if name not in self.departments
        )
        return self

    def for_signal(self, code: str) -> Playbook | None:
        """Return the first playbook that fits a code, or None."""
        fits = (p for p in self.playbooks if any(fnmatchcase(code, each) for each in p.signals))
        return next(fits, None)

    def named(self, name: str) -> Playbook:
        """Return a playbook by its name; ConfigError if it does not exist; lists those that do."""
        return _find(name, {each.name: each for each in self.playbooks}, "playbook")


def load_playbooks(path: Path | None = None) -> Playbooks:
    """Read playbooks; None gives those that are part of the package.

    Raises ConfigError if the file is faulty.
    """
    return load_section(path or Path(__file__).with_name("playbooks.yaml"), Playbooks)
