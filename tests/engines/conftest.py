"""A cluster of two workers, one for all tests of a process."""

import os
import shutil
import sys

import pytest
from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark():
    if shutil.which("java") is None:
        if os.environ.get("KYC_ML_REQUIRE_JAVA") == "1":
            pytest.fail("KYC_ML_REQUIRE_JAVA=1, and there is no Java")
        pytest.skip("no Java")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # not any python3 of the PATH
    session = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.driver.memory", "1g")
        .config("spark.executor.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield session
    session.stop()
