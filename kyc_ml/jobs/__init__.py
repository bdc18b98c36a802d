"""Jobs: read, call the stages, write. What the command line and the pipelines run."""

from kyc_ml.jobs.auditing import AuditResult, run_audit
from kyc_ml.jobs.comparing import ComparisonResult, run_compare
from kyc_ml.jobs.configuring import RunFiles, load_run
from kyc_ml.jobs.demo import DemoResult, run_demo, run_synth
from kyc_ml.jobs.earlier import nights_before
from kyc_ml.jobs.explaining import Explained, Told, run_customer_safe, run_explain
from kyc_ml.jobs.featuring import run_features
from kyc_ml.jobs.loading import load_model
from kyc_ml.jobs.reading import choose_as_of, end_of_data, parse_moment, read_tables
from kyc_ml.jobs.reproducing import ReproductionResult, run_reproduce
from kyc_ml.jobs.request import ScoringRequest
from kyc_ml.jobs.scoring import ScoringResult, load_limits, run_score
from kyc_ml.jobs.storing import read_once
from kyc_ml.jobs.training import TrainingResult, run_train, train_tables
from kyc_ml.jobs.tuning import TuningResult, run_tune, trials_table
from kyc_ml.jobs.watch import Silence, Watch

__all__ = [
    "AuditResult",
    "ComparisonResult",
    "DemoResult",
    "Explained",
    "ReproductionResult",
    "RunFiles",
    "ScoringRequest",
    "ScoringResult",
    "Silence",
    "Told",
    "TrainingResult",
    "TuningResult",
    "Watch",
    "choose_as_of",
    "end_of_data",
    "load_limits",
    "load_model",
    "load_run",
    "nights_before",
    "parse_moment",
    "read_once",
    "read_tables",
    "run_audit",
    "run_compare",
    "run_customer_safe",
    "run_demo",
    "run_explain",
    "run_features",
    "run_reproduce",
    "run_score",
    "run_synth",
    "run_train",
    "run_tune",
    "train_tables",
    "trials_table",
]
