"""What the audit log says of a model that a job is about to use."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from kyc_ml.registry.governance.chain import Entry
from kyc_ml.registry.governance.promotion import champions

Status = Literal["champion", "promoted_before", "not_promoted", "not_compared"]

CHAMPION: Final = "champion"
"""The alias of the version in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether the model of a job is the one that was promoted."""

    status: Status
    """'champion': the log's champion, with the bundle that was promoted. 'promoted_before': the
    same of a version that was champion earlier. 'not_promoted': never promoted, as a challenger or
    a bundle's folder. 'not_compared': no audit log was there to compare with."""
    promotion: str = ""
    """``COUNT:HASH`` of the promotion's entry; '' for none."""
    allowed: str = ""
    """Why the job would have been refused without --allow-unpromoted; '' if it would not."""

    def to_dict(self) -> dict[str, str]:
        """Return plain values for a manifest."""
        return {name: str(value) for name, value in asdict(self).items()}


def find_standing(entries: Sequence[Entry], *, model: str, version: str) -> Standing:
    """Return what a log says of a version; its bundle is compared with `promotion_of`."""
    promotion = promotion_of(entries, model=model, version=version)
    if promotion is None:
        return Standing(status="not_promoted")
    stack = champions(entries, model=model)
    in_use = bool(stack) and stack[-1] == version
    return Standing(
        status="champion" if in_use else "promoted_before", promotion=str(promotion.anchor)
    )


def promotion_of(entries: Sequence[Entry], *, model: str, version: str) -> Entry | None:
    """Find the last promotion of a version; its facts have the digest of the bundle."""
    asked = ("promotion", model, version)
    found = [each for each in entries if (each.kind, each.model, each.version) == asked]
    return found[-1] if found else None
