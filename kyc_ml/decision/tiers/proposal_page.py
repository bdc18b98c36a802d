"""Proposed cut-offs on one page, for those who decide: old and new, who moves, targets."""

from collections.abc import Hashable, Mapping
from typing import Any, Final

import pandas as pd

from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.proposal import CutOffProposal, say_cut
from kyc_ml.decision.tiers.sections import WHOLE
from kyc_ml.decision.wording import WORDING, Language, name_grade, write_text
from kyc_ml.display import format_rate, template_environment

_TEMPLATE: Final = "proposal.html.j2"
_COLUMNS: Final = (
    *("in_force", "proposed", "interval", "rows_in_force", "rows", "positives"),
    *("observed_rate", "upper_rate", "limit", "met_mark"),
)
_MARKS: Final = {True: "✓", False: "✕"}
_NONE: Final = "–"


def render_proposal(
    proposal: CutOffProposal,
    *,
    in_force: TierPolicy,
    evaluated: pd.DataFrame,
    facts: Mapping[str, str],
    language: Language,
) -> str:
    """Write the page as HTML; every value in it is escaped.

    `evaluated`: the cut-offs in force on the same rows; see `evaluate_cut_offs`.
    `facts`: mapping of 'model', 'rows', 'decided' and 'basis' to value; what the cut-offs were
    fitted on; the basis is one of `kyc_ml.training.tier_fitting`.
    """
    names = {
        rule.name: rule.name_zh if language == "zh" else name_grade(rule.name)
        for rule in proposal.policy.tiers
    }
    lines = proposal.moves.to_dict("records")
    return (
        template_environment()
        .get_template(_TEMPLATE)
        .render(
            running=f"{_say('internal_short', language)} · {proposal.policy.label}",
            page=_say("page", language),
            word={key: text[language] for key, text in WORDING["proposal"].items()},
            policy=proposal.policy,
            names=names,
            facts=[
                (_say("in_force_label", language), in_force.label),
                *(
                    (
                        _say(f"fact_{name}", language),
                        _say(f"basis_{value}", language) if name == "basis" else value,
                    )
                    for name, value in facts.items()
                ),
            ],
            asked=_ask(proposal, in_force, names=names, language=language),
            segments=_tabulate(proposal, evaluated),
            columns=_COLUMNS,
            order=list(proposal.policy.tier_names)[::-1],
            counts={(line["before"], line["after"]): line["rows"] for line in lines},
            examples=[(e["before"], e["after"], e["customers"]) for e in lines if e["customers"]],
            notes=[remark[language == "zh"] for remark in proposal.remarks],
        )
    )


def _tabulate(
    proposal: CutOffProposal, evaluated: pd.DataFrame
) -> dict[str, list[dict[str, object]]]:
    """Write the lines of each segment, the highest tier first."""
    found: dict[str, list[dict[str, object]]] = {}
    now = dict(zip(zip(evaluated["segment"], evaluated["tier"], strict=True), evaluated["rows"],
                   strict=True))  # fmt: skip
    for row in proposal.table.iloc[::-1].to_dict("records"):
        found.setdefault(row["segment"], []).append(
            {
                "tier": row["tier"],
                "in_force": say_cut(row["in_force"]),
                "proposed": say_cut(row["proposed"]),
                "interval": f"{say_cut(row['low'])}–{say_cut(row['high'])}"
                if row["high"] > 0
                else _NONE,
                "rows_in_force": f"{now[row['segment'], row['tier']]:,}",
                "rows": f"{row['rows']:,}",
                "positives": f"{row['positives']:,}",
                "observed_rate": _rate(row["observed_rate"]),
                "upper_rate": _rate(row["upper_rate"]),
                "limit": _limit(row),
                "met_mark": _MARKS.get(row["met"], _NONE),
            }
        )
    return {name: found[name] for name in sorted(found, key=lambda each: each != WHOLE)}


def _rate(value: float) -> str:
    return _NONE if pd.isna(value) else format_rate(value)


def _limit(row: Mapping[Hashable, Any]) -> str:
    """Write a target: a rate, or alerts where the method limits them."""
    if pd.isna(row["limit"]):
        return _NONE
    return format_rate(row["limit"]) if pd.isna(row["alerts"]) else f"{row['limit']:g}"


def _ask(
    proposal: CutOffProposal, in_force: TierPolicy, *, names: Mapping[str, str], language: Language
) -> list[str]:
    """Write what is to be decided, and what a reader must know for it."""
    order = list(proposal.policy.tier_names)
    steps = proposal.moves["after"].map(order.index) - proposal.moves["before"].map(order.index)
    rows = proposal.moves["rows"]
    up, down = int(rows[steps > 0].sum()), int(rows[steps < 0].sum())
    asked = [
        _say("decide", language, policy=proposal.policy.label, in_force=in_force.label),
        _say("moved", language, rows=f"{rows.sum():,}", up=f"{up:,}", down=f"{down:,}"),
    ]
    missed = proposal.missed
    if len(missed):
        listed = ", ".join(f"{names[str(row.tier)]} ({row.segment})" for row in missed.itertuples())
        asked.append(_say("missed", language, missed=len(missed), targets=proposal.targets,
                          names=listed))  # fmt: skip
    elif proposal.targets:
        asked.append(_say("met", language, targets=proposal.targets))
    for row in proposal.empty.to_dict("records"):
        tier, cut = names[row["tier"]], say_cut(row["proposed"])
        segment = _say("all", language) if row["segment"] == WHOLE else row["segment"]
        asked.append(_say("empty", language, tier=tier, segment=segment, cut=cut))
    return asked


def _say(key: str, language: Language, **values: object) -> str:
    return write_text("proposal", key, language, **values)
