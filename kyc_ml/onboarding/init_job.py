"""run_init: examine unknown files and write configurations that read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kyc_ml.config import FilePath, SourceMapping, load_section, parse_section, read_path
from kyc_ml.decision import load_run
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import OutputError
from kyc_ml.onboarding.proposal.guesses import MappingProposal
from kyc_ml.onboarding.proposal.proposing import propose_source
from kyc_ml.onboarding.proposal.run_files import RunFile, run_files, tiers_text
from kyc_ml.onboarding.proposal.writing import write_source
from kyc_ml.storage import require_place, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class InitResult:
    """The proposal of `run_init` and its files.

    Attributes
    ----------
    files : mapping of name to Path
        ``source`` and, where a model or features are possible, ``fraud``, ``risk``, ``tiers``.
    accepted : mapping of table name to Arrow table
        The sample of the files, as the contract accepts it with the proposed mapping.
    """

    proposal: MappingProposal
    runs: tuple[RunFile, ...]
    files: Mapping[str, Path]
    accepted: Mapping[str, pa.Table]

    def next_commands(self, data: Path) -> list[str]:
        """List the commands to run next: check; also train and score if a training is possible."""
        read = f"--source {self.files['source']} --data {data}"
        trains = [
            f"kyc-ml train --config {self.files[run.unit]} {read}"
            + (f" --as-of {run.as_of}" if run.as_of else "")
            for run in self.runs
            if run.trainable and not self.held_back
        ]
        scores = [
            f"kyc-ml score --model models:/{run.name}@challenger {read}"
            + (" --full" if run.planned or run.unit == "fraud" else "")
            + (f" --as-of {run.as_of}" if run.planned else "")
            + f" --out {self.files['source'].parent / f'scores_{run.unit}'}"
            for run in self.runs
            if run.trainable and not self.held_back
        ]
        return [f"kyc-ml check {read}", *trains, *scores]

    @property
    def held_back(self) -> str:
        """Why a training is not possible yet; empty if it is."""
        if self.proposal.undecided:
            return f"kyc-ml train: first decide {', '.join(self.proposal.undecided)}"
        if not any(run.trainable for run in self.runs):
            if "cases" in self.proposal.tables:
                return "kyc-ml train: no table has the customers or transactions of the cases"
            return "kyc-ml train: no table of cases has outcomes"
        return ""

    def tables_frame(self) -> pd.DataFrame:
        """Return one row per table: files, columns, guesses, refused rows of the sample."""
        rows = []
        for table in self.proposal.tables.values():
            marks = [guess.certainty for guess in table.columns.values()]
            found, quality = (marks.count("guess"), marks.count("yours")), table.quality
            read = (0, None) if quality is None else (quality.read, quality.quarantined_share)
            rows.append((table.name, ", ".join(table.files), len(marks), *found, *read))
        columns = ["table", "from", "columns", "guesses", "yours", "rows", "refused"]
        return pd.DataFrame(rows, columns=columns)

    def columns_frame(self) -> pd.DataFrame:
        """Return one row per proposed column: expression, certainty and evidence."""
        rows = [
            (table.name, each.column, each.sql, each.certainty, each.evidence)
            for table in self.proposal.tables.values()
            for each in table.columns.values()
        ]
        return pd.DataFrame(rows, columns=["table", "column", "sql", "certainty", "evidence"])

    def unused_frame(self) -> pd.DataFrame:
        """Return one row per unused file or group of columns, with the reason."""
        rows = sorted(self.proposal.unused.items())
        for table in self.proposal.tables.values():
            file = table.files[0]
            doubted = [
                (each.column, each.doubt) for each in table.attributes.values() if each.doubt
            ]
            rows += [(f"{file}, column {column}", why) for column, why in doubted]
            if table.unused:
                shown = ", ".join(table.unused)
                rows.append((f"{file}, column(s) {shown}", "identifiers, names or one value"))
        return pd.DataFrame(rows, columns=["file", "not used because"])

    def families_frame(self, unit: str) -> pd.DataFrame:
        """Return one row per feature family: features available, and data that would add more."""
        families = {run.unit: run.families for run in self.runs}.get(unit, ())  # type: ignore[call-overload]
        rows = [
            (
                each.name,
                f"{each.available} of {each.declared}" if each.declared else "none",
                "; ".join(each.missing) or "–",
            )
            for each in families
        ]
        return pd.DataFrame(rows, columns=["family", "features", "would be enabled by"])


def run_init(
    *,
    data: FilePath,
    out: FilePath,
    timezone: str | None = None,
    base_currency: str | None = None,
    force: bool = False,
    reporter: ProgressReporter | None = None,
) -> InitResult:
    """Propose a source mapping and run configurations for a folder, and write them.

    Customers' values are neither shown nor written, except codes that a CASE expression needs
    (see `propose_source`).

    Raises
    ------
    SourceError
        If no file fits a contracted table.
    OutputError
        If a file to be written exists and `force` is false, or it cannot be written.
    """
    reporter = ProgressReporter() if reporter is None else reporter
    data, out = read_path(data, name="data"), read_path(out, name="out")
    _require_free(out, force=force)
    reporter.progress("examining the files", 0, 1)
    proposal, accepted = propose_source(data, timezone=timezone, base_currency=base_currency)
    reporter.progress("examining the files", 1, 1)
    texts = {"source": write_source(proposal)}
    # read the text back first, so that a defect of the proposal never becomes a file
    mapping = parse_section(texts["source"], SourceMapping, subject="the proposed source mapping")
    runs = run_files(proposal, accepted, mapping)
    texts |= {str(run.unit): run.text for run in runs}
    if runs:
        texts["tiers"] = tiers_text(proposal, accepted)
    files = {name: out / f"{name}.yaml" for name in texts}
    for name, path in files.items():
        write_whole(path, texts[name].encode())
    load_section(files["source"], SourceMapping)
    for run in runs:
        load_run(files[run.unit], source=files["source"])
    return InitResult(proposal=proposal, runs=runs, files=files, accepted=accepted)


def _require_free(out: Path, *, force: bool) -> None:
    names = ("source.yaml", "fraud.yaml", "risk.yaml", "tiers.yaml")
    there = [name for name in names if (out / name).exists()]
    if there and not force:
        raise OutputError(f"{out} already has {', '.join(there)}: give another --out, or --force")
    require_place(out / "source.yaml")
