"""The identity of a scoring run: everything that its result depends on, as digests and dates.

Two runs of one identity write the same bytes. An interrupted run is resumed only under the
identity with which it began.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kyc_ml.config import LimitsConfig, SourceMapping, isoformat, parse_time, section_digest
from kyc_ml.contract import digest_together
from kyc_ml.errors import ConfigError, OutputError
from kyc_ml.registry import DISTRIBUTION, digest_distributions, needed_distributions
from kyc_ml.scoring.manifest import damaged, read_manifest
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.scoring.scorers import NO_MODEL, Scorers
from kyc_ml.storage import MANIFEST, digest_file

INPUT: Final = "input "
"""How the keys of the source's files begin."""
_TIMES: Final = ("as of", "since")


def identify_run(
    request: ScoringRequest,
    scorers: Scorers,
    *,
    mapping: SourceMapping,
    limits: LimitsConfig,
    inputs: Mapping[str, str],
) -> dict[str, str]:
    """Return everything that a run's result depends on, as digests, versions and dates.

    The keys and texts are stored in manifests and compared with those of earlier runs.

    `inputs`: mapping of path to digest; the source's files; see `SourceOnDisk.digests`.
    Raises ConfigError if an earlier run differs from its manifest.
    """
    model, rating = scorers.model, scorers.rating
    named = {
        f"previous {n} {path.name}": _earlier(path) for n, path in enumerate(request.previous, 1)
    }
    if request.overrides is not None:
        named["overrides"] = identify_file(request.overrides)
    if rating is not None:
        named["fallback policy"] = section_digest(rating.policy)
        named["fallback reasons"] = str(rating.reasons)
        named["fallback features"] = digest_together({s.name: repr(s) for s in rating.specs})
    if request.engine != "local":  # the same rows, in other files
        named["engine"] = request.engine
    if request.replaced:
        named["replaced"] = request.replaced
    if model is not None:
        named["policy"] = section_digest(model.policy)
    return {
        **{f"{INPUT}{name}": digest for name, digest in inputs.items()},
        **named,
        **identify_code(),
        "model": scorers.label,
        "bundle": NO_MODEL if model is None else model.bundle.digest,
        "source mapping": section_digest(mapping),
        "limits": section_digest(limits),
        "as of": "the end of the data" if request.as_of is None else isoformat(request.as_of),
        "since": "default" if request.since is None else isoformat(request.since),
        "rows": f"full {request.full}, incremental {request.incremental}",
        "outputs": f"contributions {request.contributions}, csv {request.csv}, "
        f"duckdb {request.duckdb}, part rows {request.part_rows}",
    }


def _earlier(path: Path) -> str:
    """Return the digest of an earlier run's id and scores, or of one score file."""
    if not path.is_dir():
        return identify_file(path)
    manifest = read_manifest(path)
    broken = damaged(path, manifest.files)
    if broken:
        raise ConfigError(
            f"--previous {path}: {', '.join(broken)} differs from what was published: find out "
            "who changed it, or leave that run out"
        )
    # not the manifest: from a history store a night has other refused rows than from files
    scores = {name: own for name, own in manifest.files.items() if name.startswith("scores/")}
    return digest_together({**scores, "run id": manifest.run_id})


def identify_code() -> dict[str, str]:
    """Return the version of kyc_ml and a digest of all distributions that it needs."""
    return {
        "code version": needed_distributions()[DISTRIBUTION],
        "distributions": digest_distributions(),
    }


def identify_file(path: Path) -> str:
    """Return the SHA-256 of a file, or of the manifest of a published folder.

    Raises ConfigError if `path` is neither.
    """
    found = path / MANIFEST if path.is_dir() else path
    if not found.is_file():
        raise ConfigError(f"{path} is neither a file nor the folder of a scoring run: name another")
    return digest_file(found)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List the differences between two identities, one line each."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        if old != new and not (name in _TIMES and _is_same_time(old, new)):
            lines.append(f"{name}: {_short(old)} then, {_short(new)} now")
    return lines


def require_same(before: Mapping[str, str], after: Mapping[str, str], *, goal: Path) -> None:
    """Check that an interrupted run has the identity of the run that is to resume it.

    Raises OutputError if they differ; lists all differences.
    """
    differing = changes(before, after)
    if differing:
        lines = "\n".join(f"  - {line}" for line in differing)
        raise OutputError(
            f"the interrupted run to {goal} cannot be resumed, because something changed: restore "
            f"it, or start again with --restart, which discards what the run has done\n{lines}"
        )


def _is_same_time(one: str, other: str) -> bool:
    """Compare dates as times: runs before December 2026 stored them as they were typed."""
    try:
        return parse_time(one, name="date") == parse_time(other, name="date")
    except ConfigError:  # without a date the stored text is words, such as "default"
        return False


def _short(text: str) -> str:
    """Shorten a text if it is a digest."""
    return text[:12] if len(text) == 64 and not text.strip("0123456789abcdef") else text
