"""Scoring by night: in parts, on disk, so that nothing is lost whenever it is killed."""

from kyc_ml.batch.by_model import ModelScorer
from kyc_ml.batch.by_rating import RatingScorer, card_of
from kyc_ml.batch.counts import Counts
from kyc_ml.batch.exports import CSV, DUCKDB, export_csv, export_duckdb
from kyc_ml.batch.identity import changes, identify_code, identify_file, require_same, run_id
from kyc_ml.batch.limits import Judged, check_limits, refuse
from kyc_ml.batch.manifest import (
    Manifest,
    damaged,
    digest_files,
    read_drift,
    read_manifest,
    score_files,
    write_drift,
)
from kyc_ml.batch.parts import CONTRIBUTIONS, PART_ROWS, SCORES, PartScorer, score_parts
from kyc_ml.batch.place import MANIFEST, Place, hold
from kyc_ml.batch.schema import MODEL, RATING, SCHEMA_VERSION, describe_columns, with_meanings
from kyc_ml.batch.steps import Steps, digest_file

__all__ = [
    "CONTRIBUTIONS",
    "CSV",
    "DUCKDB",
    "MANIFEST",
    "MODEL",
    "PART_ROWS",
    "RATING",
    "SCHEMA_VERSION",
    "SCORES",
    "Counts",
    "Judged",
    "Manifest",
    "ModelScorer",
    "PartScorer",
    "Place",
    "RatingScorer",
    "Steps",
    "card_of",
    "changes",
    "check_limits",
    "damaged",
    "describe_columns",
    "digest_file",
    "digest_files",
    "export_csv",
    "export_duckdb",
    "hold",
    "identify_code",
    "identify_file",
    "read_drift",
    "read_manifest",
    "refuse",
    "require_same",
    "run_id",
    "score_files",
    "score_parts",
    "with_meanings",
    "write_drift",
]
