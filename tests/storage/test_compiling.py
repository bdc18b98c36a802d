"""Where compiled code is kept: never where somebody else can write, and nowhere if need be."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import kyc_ml
from kyc_ml.errors import ConfigError
from kyc_ml.storage import compiling

# The superuser may write anywhere: in a container the test takes that one right away.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


def run_on_a_read_only_copy(folder, code, **environment):
    copy = folder / "kyc_ml"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(kyc_ml.__file__).parent, copy, ignore=leave_out)
    everything = [copy, *copy.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~0o222)
    prefix = WITHOUT_OVERRIDE if os.geteuid() == 0 else ()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **environment}
    done = subprocess.run(  # noqa: S603
        [*prefix, sys.executable, "-c", code],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)
    return done


@pytest.mark.parametrize("closed", [False, True], ids=["temporary folder", "no folder"])
def test_kernels_compile_where_neither_the_package_nor_a_home_can_be_written(tmp_path, closed):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    own = temporary / f"kyc_ml-{os.geteuid()}"
    if closed:
        own.mkdir()
        own.chmod(0o777)  # somebody was here before: nothing of it is read
    done = run_on_a_read_only_copy(
        tmp_path,
        "from kyc_ml.storage.compiling import find_cache\n"
        "import kyc_ml.model.contributions.codes\n"
        "from kyc_ml.features.buckets.exchange import bucket_of\n"
        "import pyarrow as pa\n"
        "print(find_cache(), bucket_of(pa.array(['a', 'b', None]), 5).tolist())\n",
        HOME="/nonexistent",
        TMPDIR=str(temporary),
    )
    assert done.returncode == 0, done.stderr
    place, _, numbers = done.stdout.strip().partition(" ")
    assert place == ("None" if closed else str(own))
    # FNV-1a of 64 bits, folded, modulo 5: reckoned by hand in Python
    assert numbers == str([_fnv(b"a") % 5, _fnv(b"b") % 5, 0])
    if closed:
        assert list(own.iterdir()) == []
    else:
        assert own.stat().st_mode & 0o077 == 0
        assert list(own.rglob("*.nbi"))


def _fnv(content):
    digest = 14695981039346656037
    for byte in content:
        digest = (digest ^ byte) * 1099511628211 % 2**64
    return digest ^ digest >> 32


@pytest.fixture
def find(monkeypatch, tmp_path):
    """Choose anew, with a package, a home and a temporary folder below `tmp_path`."""
    for name in ("package", "home", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "package" / "source.py").touch()
    monkeypatch.setattr(compiling, "_PACKAGE", tmp_path / "package")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return compiling.find_cache.__wrapped__


def opened(folder, mode=0o777):
    folder.mkdir(exist_ok=True, parents=True)
    folder.chmod(mode)
    return folder


def test_compiled_code_lies_beside_its_source_where_that_is_safe(find):
    assert find() == ""


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o775])
def test_a_cache_that_more_people_can_write_than_its_source_is_not_used(find, tmp_path, mode):
    (tmp_path / "package").chmod(0o755)
    opened(tmp_path / "package" / "__pycache__", mode)
    own = tmp_path / "home" / ".cache" / "kyc_ml"
    assert find() == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    opened(own)
    last = tmp_path / "tmp" / f"kyc_ml-{os.geteuid()}"
    assert find() == str(last)
    last.rmdir()
    last.symlink_to(opened(tmp_path / "planted", 0o700))
    assert find() is None


def test_a_group_that_can_write_the_source_can_write_what_is_compiled(find, tmp_path):
    (tmp_path / "package").chmod(0o775)
    opened(tmp_path / "package" / "__pycache__", 0o775)
    assert find() == ""


@pytest.mark.parametrize("below", ["", "kernels_0123"])
def test_a_named_cache_that_others_can_write_is_refused(find, monkeypatch, tmp_path, below):
    given = opened(tmp_path / "given", 0o755)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(given))
    assert find() == str(given)
    strange = opened(given / below)
    with pytest.raises(ConfigError, match="NUMBA_CACHE_DIR") as told:
        find()
    assert f"{strange} " in str(told.value)


def test_a_named_cache_that_cannot_be_made_is_refused(find, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match="cannot"):
        find()


def test_a_cache_below_a_folder_that_others_can_write_is_refused(find, monkeypatch, tmp_path):
    """Whoever can write a folder above can rename the cache and put another in its place."""
    above = opened(tmp_path / "above", 0o1777)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(above / "given"))
    assert find() == str(above / "given"), "as in the temporary folder, only owners may rename"
    opened(above, 0o770)
    with pytest.raises(ConfigError, match=f"{above} "):
        find()
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    opened(tmp_path / "package" / "__pycache__")
    monkeypatch.setenv("XDG_CACHE_HOME", str(above))
    assert find() == str(tmp_path / "tmp" / f"kyc_ml-{os.geteuid()}")
