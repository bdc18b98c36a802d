"""Open a Spark session, and check all machines before any work; imports pyspark only then."""

import hashlib
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import StoredTables, place_of_refused, tell_quality
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, Faults, OutputError
from kyc_ml.storage import private_folder, require_place

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from kyc_ml.engines.spark.cluster import Cluster

OLDEST_JAVA: Final = 17
PACKAGES: Final = ("duckdb", "lightgbm", "numba", "numpy", "pandas", "pyarrow", "scipy")
"""Packages that compute values: each machine needs the same version."""
LEAST_SCRATCH: Final = 1 << 30
"""Bytes free for shuffle files on every machine (convention): a bucket and what is sorted of it."""

_ANSWER_SECONDS: Final = 120
_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.executorEnv.OMP_NUM_THREADS": "1",  # a worker has one core for each of its tasks
    "spark.shuffle.compress": "false",  # what moves is compressed already
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


@contextmanager
def open_cluster(master: str | None = None) -> Iterator["Cluster"]:
    """Open a Spark session, or take the one that is active, and check every machine.

    Parameters
    ----------
    master : str, optional
        Address of a cluster, such as ``spark://HOST:7077`` or ``local[4]``. None takes the active
        session, or what ``spark-submit`` or Spark's own configuration says.

    Raises
    ------
    ConfigError
        Before any work, with the cure: without PySpark or Java; if no session can be opened or no
        worker answers; if its time zone is not UTC; if workers have another Python, other packages
        or another kyc_ml, or no place for shuffle files.
    """
    if find_spec("pyspark") is None:
        raise ConfigError(
            "--engine spark needs PySpark: install the extra kyc-ml[spark], here and on all workers"
        )
    with warnings.catch_warnings():
        # it means the rows that Spark itself converts to pandas: here all are Arrow's
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        from pyspark.sql import SparkSession  # noqa: PLC0415  one machine needs no Spark

        from kyc_ml.engines.spark.cluster import Cluster  # noqa: PLC0415
        from kyc_ml.engines.spark.landing import require_utc  # noqa: PLC0415

        active = SparkSession.getActiveSession()
        session = active or _start(master)
        try:
            require_utc(session)
            _require_workers(session)
            yield Cluster(session=session)
        finally:
            if active is None:
                session.stop()


def require_no_master(master: str | None) -> None:
    """Raise ConfigError for the address of a cluster where this machine computes."""
    if master is not None:
        raise ConfigError("--master is the address of a cluster: give --engine spark with it")


@contextmanager
def landed(
    source: Path,
    data: Path,
    *,
    work: Path,
    quarantine: Path | None,
    master: str | None,
    reporter: ProgressReporter,
) -> Iterator[tuple["Cluster", StoredTables, Path]]:
    """Read a source on a cluster, and report its quality.

    `work`: name beside which the workers write meanwhile, in a folder that is removed afterwards.
    `quarantine`: new folder for the refused rows; None replaces one named by source and data.

    Yields the cluster, the accepted tables and the folder. Raises ConfigError as `open_cluster`
    does, and as `land` does.
    """
    mapping = load_section(source, SourceMapping)
    aside = quarantine or place_of_refused(mapping, data).with_suffix("")
    if quarantine is not None and quarantine.exists():
        raise OutputError(f"{quarantine} exists: name a new folder for the refused rows")
    for place in (aside, work):
        require_place(place)
    with open_cluster(master) as cluster, private_folder(work.absolute().parent) as folder:
        cluster.require_shared(folder)
        reporter.progress("reading", 0, 1)
        refused = folder / "quarantine"
        try:
            tables = cluster.store(mapping, data=data, folder=folder / "tables", quarantine=refused)
        finally:
            if refused.is_dir():
                shutil.rmtree(aside, ignore_errors=True)
                shutil.move(refused, aside)
                reporter.info(f"refused rows, with their reasons: {aside}")
        reporter.progress("reading", 1, 1)
        tell_quality(tables.quality, reporter)
        yield cluster, tables, folder


def _start(master: str | None) -> "SparkSession":
    """Start a session."""
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # its driver is a Java program already
    if not submitted:
        require_java()
        faults = Faults("--engine spark", ConfigError)
        faults.extend(_scratch_faults(socket.gethostname(), _scratch_folders()))
        faults.raise_if_any()
    # the name that Spark has by default, python3, may be another Python than this one
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("kyc_ml").config(map=dict(_SETTINGS))
    if master is not None:
        builder = builder.master(master)
    try:
        return builder.getOrCreate()
    except (Py4JError, PySparkException) as error:
        said = re.search(r"(?:Exception|Error): (.+)", str(error))
        raise ConfigError(
            f"no Spark session could be opened with master {master or 'of the configuration'}: "
            f"{said.group(1) if said else type(error).__name__}; check --master, such as local[2] "
            "or spark://HOST:7077, and Spark's configuration"
        ) from None


def require_java() -> None:
    """Raise ConfigError unless Java of `OLDEST_JAVA` or newer is found as Spark finds it."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    found = 0
    if java is not None:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
        number = re.search(r'version "(\d+)', said.stderr + said.stdout)
        found = int(number.group(1)) if number else 0
    if found < OLDEST_JAVA:
        what = "no Java was found" if java is None else f"{java} is Java {found}"
        raise ConfigError(
            f"--engine spark needs Java {OLDEST_JAVA} or newer, but {what}: install one, such as "
            f"openjdk-{OLDEST_JAVA}-jre-headless, or name it in JAVA_HOME"
        )


def _scratch_folders() -> list[str]:
    """List the folders in which Spark keeps shuffle files on this machine."""
    return (os.environ.get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()).split(",")


def _scratch_faults(host: str, folders: list[str]) -> Iterator[str]:
    for folder in folders:
        if not os.access(folder, os.W_OK):
            yield f"{host}: {folder} for shuffle files cannot be written: set SPARK_LOCAL_DIRS"
        elif (free := shutil.disk_usage(folder).free) < LEAST_SCRATCH:
            yield (
                f"{host}: {folder} for shuffle files has {free >> 20:,} MB free, and needs "
                f"{LEAST_SCRATCH >> 20:,} MB or more: free some, or set SPARK_LOCAL_DIRS"
            )


def _describe() -> Callable[[], dict[str, Any]]:
    """Return a function that describes the machine on which it runs.

    It travels by its content: a worker without kyc_ml can run it too.
    """
    packages, least = PACKAGES, LEAST_SCRATCH

    def describe() -> dict[str, Any]:
        about: dict[str, Any] = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in packages:
            try:
                about[name] = version(name)
            except PackageNotFoundError:
                about[name] = "absent"
        spec, digest = find_spec("kyc_ml"), hashlib.sha256()
        code = Path(spec.origin).parent if spec is not None and spec.origin else None
        for path in sorted(code.rglob("*.py") if code is not None else ()):
            digest.update(str(path.relative_to(str(code))).encode() + path.read_bytes())
        about["kyc_ml"] = "absent" if code is None else f"code {digest.hexdigest()[:12]}"
        scratch = (os.environ.get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()).split(",")
        sound = [
            os.access(each, os.W_OK) and shutil.disk_usage(each).free >= least for each in scratch
        ]
        return {
            "host": socket.gethostname(),
            "about": about,
            "full": [each for each, is_sound in zip(scratch, sound, strict=True) if not is_sound],
        }

    return describe


def _require_workers(spark: "SparkSession") -> None:
    """Raise ConfigError, with all faults of all workers, unless they are as this machine."""
    own, faults = _describe()()["about"], Faults("workers of the cluster", ConfigError)
    seen = set()
    for found in _ask_workers(spark):
        seen.add(found["host"])
        for name, here in own.items():
            if (there := found["about"][name]) != here:
                faults.add(
                    f"{found['host']}: {name} is {there}, but {here} where the job was started: "
                    "install the same lock on all machines; PYSPARK_PYTHON names their Python"
                )
        faults.extend(
            f"{found['host']}: {folder} for shuffle files cannot be written, or has less than "
            f"{LEAST_SCRATCH >> 20:,} MB free: set SPARK_LOCAL_DIRS of the workers"
            for folder in found["full"]
        )
    faults.raise_if_any()


def _ask_workers(spark: "SparkSession") -> list[dict[str, Any]]:
    """Return what every worker says of itself, each answer once."""
    import json  # noqa: PLC0415

    from pyspark.errors import PySparkException  # noqa: PLC0415

    describe = _describe()

    def probe(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            time.sleep(0.05)  # so that the next task goes to another worker
        said = json.dumps(describe(), sort_keys=True)
        yield pa.RecordBatch.from_pydict({"said": pa.array([said], pa.string())})

    context = spark.sparkContext
    tasks = 2 * max(context.defaultParallelism, 2)
    context.setJobGroup(
        "kyc_ml: are all workers as the driver", "preflight", interruptOnCancel=True
    )
    limit = Timer(_ANSWER_SECONDS, context.cancelAllJobs)
    limit.start()
    try:
        rows = spark.range(0, tasks, 1, tasks).mapInArrow(probe, "said string").collect()
    except PySparkException as error:
        raise ConfigError(_say_unanswered(str(error))) from None
    finally:
        limit.cancel()
    return [json.loads(said) for said in sorted({row.said for row in rows})]


def _say_unanswered(error: str) -> str:
    """Return why workers gave no answer, and the cure."""
    if "PYTHON_VERSION_MISMATCH" in error:
        return (
            "workers have another Python than this job, "
            f"{'.'.join(platform.python_version_tuple()[:2])}: name theirs in PYSPARK_PYTHON"
        )
    if "Cannot run program" in error or "CreateProcess" in error:
        return "workers have no Python at the path of PYSPARK_PYTHON: name one that all have"
    if "cancel" in error.lower():
        return (
            f"no worker took a task within {_ANSWER_SECONDS} seconds: look at the cluster's own "
            "page for free cores and memory, and whether executors end when they start, for "
            "example without space for shuffle files (spark.local.dir)"
        )
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", error)
    if missing:
        return (
            f"workers lack the package {missing.group(1)}: install the lock and kyc-ml[spark] on "
            "all of them; PYSPARK_PYTHON names their Python"
        )
    last = error.strip().splitlines()[-1] if error.strip() else "no message"
    return f"workers did not answer ({last[:200]}): look at the logs of the executors"
