"""Check that two bundles predict the same thing, and from when rows are new to both."""

import pandas as pd

from kyc_ml.config import require_kind
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.registry.bundle import Bundle, same_contents


def require_bundle(given: object, *, name: str) -> None:
    """Raise ConfigError with the cure unless the argument `name` is a bundle."""
    cure = "give .bundle of what kyc_ml.train returns, or read a folder with kyc_ml.load_bundle"
    require_kind(given, Bundle, name=name, cure=cure)


def require_comparable(challenger: Bundle, champion: Bundle) -> None:
    """Raise unless two models predict the same outcome of the same observations.

    Raises ConfigError if unit, base currency, outcome, horizon, review calendar or names of tiers
    differ, or a bundle does not say when it was trained; the message lists all of them.
    """
    faults = Faults(
        "the models cannot be compared: train the challenger as the champion was", ConfigError
    )
    for who, bundle in (("challenger", challenger), ("champion", champion)):
        if "as_of" not in bundle.data:
            faults.add(f"the {who} does not say when it was trained: train it again")
    for name, one, other in _must_agree(challenger, champion):
        if one != other:
            faults.add(f"{name}: challenger {one}, champion {other}")
    faults.raise_if_any()


def require_different(challenger: Bundle, champion: Bundle) -> None:
    """Raise if both models are the same; bundles never saved are compared by content.

    Raises ConfigError if both are of one digest, or, where one has none, of the same contents.
    """
    if challenger.digest and champion.digest:
        one = challenger.digest == champion.digest
    else:
        one = same_contents(challenger, champion)
    if one:
        known = champion.digest or challenger.digest
        which = f"digest {known[:12]}" if known else "not saved yet"
        raise ConfigError(
            f"challenger and champion are one bundle, {which}: every difference would be 0; name "
            "another model for one of them, by version, alias or folder, or as a bundle"
        )


def trained_until(bundle: Bundle) -> pd.Timestamp:
    """Return the training date: a model may have learned from anything known until then."""
    moment = pd.Timestamp(bundle.data["as_of"])
    return moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")


def zone_of(bundle: Bundle) -> str:
    """Return the time zone of the source that a model was trained on; old bundles name none."""
    return str(bundle.data.get("timezone", "UTC"))


def _must_agree(challenger: Bundle, champion: Bundle) -> list[tuple[str, object, object]]:
    def what(bundle: Bundle) -> dict[str, object]:
        dataset = bundle.config.dataset
        found: dict[str, object] = {
            "unit": bundle.config.unit,
            "base currency": bundle.data.get("base_currency"),
            "dataset.horizon_days": dataset.horizon_days,
            "dataset.adverse_outcomes": ", ".join(sorted(dataset.adverse_outcomes)),
            "tiers": ", ".join(bundle.policy.tier_names),
        }
        if champion.config.unit == "risk":
            found["dataset.review_every_months"] = dataset.review_every_months
        return found

    one, other = what(challenger), what(champion)
    return [(name, one[name], other[name]) for name in one]
