"""Draw the result of each job after it has ended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kyc_ml.cli.language import language
from kyc_ml.cli.terminal.quantity import Quantity
from kyc_ml.cli.terminal.sheets import Column, Sheet
from kyc_ml.cli.terminal.tables import draw_frame, draw_quality, say_estimate, say_share
from kyc_ml.display import say_count, say_moment, say_number

if TYPE_CHECKING:
    from kyc_ml.cli.terminal.reporters import Terminal
    from kyc_ml.config import SectionKeys
    from kyc_ml.display import Example
    from kyc_ml.features import FeatureSpec
    from kyc_ml.monitoring import MonitorResult
    from kyc_ml.onboarding import DemoResult
    from kyc_ml.scoring import CustomerFacts, Explained, ScoringResult
    from kyc_ml.training import ReproductionResult, TrainingResult, Tuned
    from kyc_ml.validation import AuditResult

_BAR = 24


def show_training(terminal: Terminal, result: TrainingResult) -> None:
    """Summarise a training run: metrics, baseline, prevalence, tiers, address."""
    from kyc_ml.training import quality_table

    part = result.trained.evidence.part.replace("_", " ")
    terminal.draw(draw_quality(quality_table(result.trained), f"quality on {part} rows"))
    added = result.trained.added_value
    terminal.draw(draw_frame("what the model adds (95% intervals)", added.table))
    terminal.draw(added.sentence)
    terminal.draw(draw_frame("tiers on the same rows", result.tiers.iloc[::-1]))
    facts: dict[str, object] = {
        "model": f"{result.registered.uri} (alias challenger)",
        "bundle": result.bundle.digest,
        "trees": result.bundle.model.n_trees,
        "features": len(result.bundle.inputs),
        "calibration": result.bundle.calibrator.method,
        **{stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()},
    }
    if result.page is not None:
        facts["page"] = result.page
    facts["runs side by side"] = result.registered.runs
    terminal.summary("registered", facts)


def show_reproduction(terminal: Terminal, result: ReproductionResult) -> None:
    """Report whether the same bundle was made again; if not, what differs and what changed."""
    verdict = "reproduced" if result.reproduced else "NOT reproduced"
    facts: dict[str, object] = {"run": result.run_id, "bundle": result.recorded}
    if not result.reproduced:
        facts["bundle now"] = result.again
        facts["files that differ"] = "\n".join(result.differing)
        facts["features that differ"] = "\n".join(result.features) or "none"
        facts["versions that differ"] = "\n".join(result.changes) or "none"
    facts["was run as"] = result.command
    facts |= {stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()}
    terminal.summary(f"{result.name}: {verdict}", facts)


def show_tuning(terminal: Terminal, result: Tuned) -> None:
    """Sum up a study: the best trials, the test of the chosen parameters, the verdict."""
    found, objective = result.search, result.config.tuning.objective.replace("_", " ")
    trials = result.trials.sort_values("value", ascending=result.ascending)
    shown = trials.drop(columns=list(found.best.parameters)).head(5)
    terminal.draw(draw_frame(f"best trials by mean {objective} over the folds", shown))
    compared = result.comparison
    if compared.compared:
        title = "on rows that no choice saw (95% intervals)"
        terminal.draw(draw_frame(title, compared.table))
    kept = " (not taken)" if compared.worse else ""
    changed = {
        name: f"{found.own.parameters[name]:.6g} -> {value:.6g}{kept}"
        for name, value in found.best.parameters.items()
    }
    pruned = sum(trial.pruned for trial in found.trials)
    terminal.summary(
        "tuned",
        {
            "verdict": compared.sentence,
            "trials": f"{len(found.trials)}, of them {found.resumed} from an earlier run, "
            f"{pruned} pruned; stopped by {found.stopped_by}",
            "objective on folds": f"{objective} {found.best.value:.4f}, own {found.own.value:.4f}",
            **changed,
            **{stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()},
            "study": result.study,
            "MLflow run": result.mlflow_run,
            **(
                {"kept": "the configuration's own parameters: those found are worse on other rows"}
                if compared.worse
                else {}
            ),
            "written to": f"{result.written} ; use it with model: !include",
        },
    )


def show_scoring(terminal: Terminal, result: ScoringResult) -> None:
    """Sum up a scoring run: tiers, counts and where the scores are."""
    manifest = result.manifest
    terminal.outcome.rows[manifest.identity["model"]] = result.rows
    terminal.show("tiers", result.tiers.iloc[::-1])
    facts: dict[str, object] = {
        "read": Quantity(manifest.read, "rows"),
        "quarantined": Quantity(manifest.quarantined, "rows"),
        "scored": Quantity(result.rows, "observations"),
        "customers": Quantity(manifest.customers, "customers"),
        **{
            f"not scored: {reason}": Quantity(customers, "customers")
            for reason, customers in manifest.not_scored.items()
        },
        "scored by": manifest.scored_by,
    }
    if manifest.promotion:
        facts["promotion"] = manifest.promotion["status"].replace("_", " ")
    if manifest.reason:
        facts["because"] = manifest.reason
    facts |= {
        "run": manifest.run_id,
        **{stage: Quantity(spent, "s") for stage, spent in result.seconds.items()},
        "published": f"{result.path}{' (before)' if result.was_there else ''}",
    }
    terminal.summary("scored", facts)


def show_monitor(terminal: Terminal, result: MonitorResult) -> None:
    """List the open signals, the worst first, and sum up the last night of each model."""
    import pandas as pd

    chinese = language() == "zh"
    rows = [
        {
            "severity": each.severity.name.lower(),
            "signal": each.code,
            "model": each.model,
            "night": each.day,
            "found": each.text_zh if chinese else each.text,
        }
        for each in result.signals
    ]
    if rows:
        terminal.show("signals", pd.DataFrame(rows))
    for each in result.models:
        last = each.last
        facts: dict[str, object] = {"nights": len(each.nights)}
        if last is not None:
            facts |= {"night": last["day"], "status": last["status"], "version": last["version"]}
            facts["scored"] = Quantity(int(last["scored"]), "rows")
            if last["detail"].get("reason"):
                facts["because"] = last["detail"]["reason"]
        terminal.summary(each.name, facts)
    pages = {f"page {name}": str(path) for name, path in result.pages.items()}
    sent = result.alerts
    waits = () if sent is None else (each for each in sent.alerts if each.id in sent.waiting)
    waiting = {f"wait {each.id}": each.signal["text_zh" if chinese else "text"] for each in waits}
    faults = {} if sent is None else {f"fault {n}": one for n, one in enumerate(sent.faults, 1)}
    terminal.summary("monitored", {"signals": len(result.signals), **waiting, **faults, **pages})


def show_explanation(terminal: Terminal, explained: Explained, *, chinese: bool) -> None:
    """Draw the reasons of one observation, its counterfactuals and how its tier came about."""
    in_language = "_zh" if chinese else ""
    terminal.draw(explained.score[f"tier_set_by_text{in_language}"])
    for pattern in explained.patterns:
        terminal.draw(f"  - {pattern.name[chinese]}: {pattern.text[chinese]}")
    terminal.draw(_reasons_sheet(explained, chinese=chinese))
    shown = explained.contributions["contribution"].sum()
    usual = explained.score["reference_margin"]
    name, start = ("base", explained.base_value) if usual is None else ("comparable rows", usual)
    terminal.draw(
        f"{name} {say_number(start, '+.3f')} + these + all others "
        f"{say_number(explained.margin - start - shown, '+.3f')} = "
        f"margin {say_number(explained.margin, '+.3f')} (log-odds)"
    )
    terminal.draw("what would lower the tier:")
    for line in explained.lowering.lines:
        terminal.draw(f"  - {line[chinese]}")
    terminal.draw(f"  {explained.lowering.note[chinese]}")
    facts: dict[str, object] = {
        "observation": explained.observation_id,
        "decided": say_moment(explained.decided),
        "probability": say_share(explained.probability),
        "tier": f"{explained.tier} {explained.tier_zh}",
        "how it came about": _tier_path(explained.score),
    }
    if explained.sheet is not None:
        facts["case sheet"] = explained.sheet
    terminal.summary("explained; internal only, not to be disclosed", facts)


def _reasons_sheet(explained: Explained, *, chinese: bool) -> Sheet:
    """Return the reasons as a sheet with bars, the strongest first."""
    rows = explained.contributions
    largest = rows["contribution"].abs().max()
    drawn = []
    for row in rows.to_dict("records"):
        contribution = row["contribution"]
        # no contribution: the sentence says that nothing stands out
        known = not math.isnan(contribution)
        length = round(_BAR * abs(contribution) / largest) if known and largest else 0
        bar = Text("█" * length, style="red" if contribution > 0 else "blue")
        said = str(row["text_zh" if chinese else "text"])
        figures = (say_number(contribution, "+.3f"), f"{row['share']:.1%}") if known else ("", "")
        drawn.append((said, *figures, bar))
    return Sheet(
        title=f"{explained.observation_id}: probability {say_share(explained.probability)}, "
        f"tier {explained.tier} {explained.tier_zh}",
        columns=(
            Column(heading="reason"),
            Column(heading="log-odds", right=True),
            Column(heading="share", right=True),
            Column(heading="", secondary=True),
        ),
        rows=tuple(drawn),
    )


def show_customer_facts(terminal: Terminal, found: CustomerFacts, *, chinese: bool) -> None:
    """Print what may be disclosed to a customer, and nothing else."""
    names = ["fact_zh", "value_zh"] if chinese else ["fact", "value"]
    facts = dict(found.facts[names].itertuples(index=False, name=None))
    title = f"on record for {found.observation_id}"
    terminal.summary(title, facts or {"": "nothing may be disclosed"})


def show_features(terminal: Terminal, specs: Sequence[FeatureSpec]) -> None:
    """Print one line a feature, a table for each family."""
    for family, members in itertools.groupby(specs, key=lambda spec: spec.family):
        rows = tuple(
            (spec.name, spec.description, spec.unit, ", ".join(spec.observation_units))
            for spec in members
        )
        names = ("feature", "meaning", "unit", "for")
        terminal.draw(
            Sheet(
                title=f"{family}: {say_count(len(rows), 'feature')}",
                columns=tuple(Column(heading=name) for name in names),
                rows=rows,
            )
        )
    terminal.draw(say_count(len(specs), "feature"))


def show_feature(
    terminal: Terminal, spec: FeatureSpec, definition: str, columns: Mapping[str, str]
) -> None:
    """Print all that is known about one feature."""
    direction = {1: "risk may only rise with it", -1: "risk may only fall with it", 0: "either"}
    facts = {
        "meaning": spec.description,
        "含义": spec.description_zh,
        "family": spec.family,
        "unit": spec.unit,
        "describes": ", ".join(spec.observation_units),
        "definition": definition,
        **{f"with {name}": text for name, text in columns.items()},
        "typology": spec.typology or "none in particular",
        "direction": direction[spec.monotone],
        "source": spec.source,
    }
    terminal.summary(spec.name, facts)


def show_keys(terminal: Terminal, tables: Sequence[SectionKeys]) -> None:
    """Draw the keys of a configuration file, a table for each section."""
    from kyc_ml.cli.key_reference import say_places

    for found in tables:
        rows = tuple(
            (
                key.name,
                *(text.replace("`", "") for text in (key.kind, key.bounds, key.default)),
                key.meaning,
            )
            for key in found.keys
        )
        names = ("key", "takes", "range", "default", "meaning")
        terminal.draw(
            Sheet(
                title=f"{say_places(found)}: {found.summary}",
                columns=tuple(Column(heading=name) for name in names),
                rows=rows,
            )
        )


def show_audit(terminal: Terminal, result: AuditResult) -> None:
    """Draw what each check found, the features that moved, and the verdict."""
    audit, labels = result.features, result.labels
    terminal.draw(draw_frame("point in time: values compared and features moved", audit.summary()))
    earlier = result.earlier
    known = [
        f"{name} = {value}"
        for name, value in zip(labels.pure["feature"], labels.pure["value"], strict=True)
    ]
    moved = "features that the earlier extract gives otherwise"
    alarms = [
        ("features that moved", audit.moved, list(audit.moved["feature"])),
        ("features that know the label alone", labels.alarms, list(labels.alarms["feature"])),
        ("values that nearly only positives have", labels.pure, known),
    ]
    if earlier is not None:
        alarms.insert(1, (moved, earlier.moved, list(earlier.moved["feature"])))
    for title, table, _ in alarms:
        if not table.empty:
            terminal.draw(draw_frame(title, table))
    facts: dict[str, object] = {
        "decision times": ", ".join(f"{each:%Y-%m-%d %H:%M}" for each in audit.decision_times),
        "observations": f"{audit.observations:,}",
        "features": f"{audit.features['feature'].nunique():,}, left out {len(audit.unavailable)}",
    }
    facts |= {title: ", ".join(dict.fromkeys(names)) for title, _, names in alarms if len(names)}
    if earlier is not None:
        facts["compared with the earlier extract"] = f"{earlier.observations:,}"
    if labels.rows:
        best = labels.single.iloc[0]
        facts["labels"] = f"{labels.rows:,} probed, {labels.positives:,} positives"
        facts["highest single AUC"] = f"{best['auc']:.3f} ({best['feature']})"
    if labels.shuffled is not None:
        shuffled = labels.shuffled
        interval = say_estimate(shuffled.auc, shuffled.low, shuffled.high)
        facts["AUC of shuffled labels"] = f"{interval}{'' if shuffled.passed else ': NOT 0.5'}"
    if labels.not_run:
        facts["label probes not run"] = labels.not_run
    if result.unseen:
        facts["not seen by any proof"] = result.unseen
    facts |= {stage: f"{spent:.1f} s" for stage, spent in result.seconds.items()}
    if result.path is not None:
        facts["written to"] = result.path
    verdict = "passed" if result.passed else "FAILED"
    terminal.summary(f"audit of {result.name}: {verdict}", facts)


def show_demo(terminal: Terminal, result: DemoResult) -> None:
    """Sum up the demo: counts, quality, tiers, examples, and the page."""
    counts = result.tables.quality.tables
    for training, _, story in result.models.values():
        terminal.draw(draw_quality(story.figures, f"{story.title}: quality on the test period"))
        terminal.draw(story.added_sentence)
        terminal.draw(
            draw_frame(f"{story.name}: tiers on the test period", training.tiers.iloc[::-1])
        )
        for example in story.examples:
            terminal.draw(f"  {_say_example(example)}")
            for line in example.reasons:
                terminal.draw(f"    {say_number(line.contribution, '+.2f')}  {line.text}")
                terminal.draw(f"           {line.text_zh}")
    terminal.summary(
        "demo",
        {
            "rows read": f"{sum(table.read for table in counts):,}",
            "rows quarantined": f"{sum(table.quarantined for table in counts):,}",
            **{
                f"{name} scored": f"{scoring.rows:,} -> {scoring.path}"
                for name, (_, scoring, _) in result.models.items()
            },
            **{
                f"{name} model": training.registered.uri
                for name, (training, _, _) in result.models.items()
            },
            "page to open": result.page,
            **{
                f"{name} runs side by side": training.registered.runs
                for name, (training, _, _) in result.models.items()
            },
            "time": f"{result.seconds:.0f} s",
        },
    )


def _say_example(example: Example) -> str:
    path = f" ({example.tier_path})" if example.tier_path else ""
    return (
        f"{example.observation_id}: probability {say_share(example.probability)}, tier "
        f"{example.tier} {example.tier_zh}{path}, outcome {example.outcome}"
    )


def _tier_path(score: Mapping[str, Any]) -> str:
    """Describe how a tier came about, from the probability to the overrides in force."""
    return (
        f"tier by the model {score['tier_of_model']}, with the expert rating "
        f"({score['expert_grade'] or 'none'}) {score['tier_of_score']}, with history "
        f"{score['tier_before_overrides']}, after overrides ({score['override_code'] or 'none'}) "
        f"{score['tier']}; reasons compare with {_say_peers(score['reason_peers'])}"
        + ("; decided before the policy was valid" if score["policy_in_force"] is False else "")
    )


def _say_peers(group: str) -> str:
    """Name the peers of a row: a group, or the whole bank and why."""
    from kyc_ml.decision import WHOLE_BANK

    name, gap, why = group.partition(" (")
    return f"the whole bank{gap}{why}" if name == WHOLE_BANK else f"their peers: {group}"
