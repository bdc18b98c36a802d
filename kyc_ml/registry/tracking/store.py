"""The store behind the address: what keeps it from serving, found before the work relies on it.

MLflow itself creates a missing store, twice at the same moment if two processes ask
for it, and tries for a minute and a half to open one that cannot be opened. So each process opens
its store here first, once, one process after another.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow
import sqlalchemy
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.utils.file_utils import local_file_uri_to_path
from sqlalchemy.engine import URL, Connection, make_url

from kyc_ml.errors import RegistryError, UnreachableError
from kyc_ml.registry.governance.log import current_account
from kyc_ml.storage import why_unwritable

DEFAULT_STORE: Final = "sqlite:///mlflow.db"
_SERVED: Final = ("postgresql", "mysql", "mssql")
_EXTRAS: Final = {"psycopg": "postgres", "psycopg2": "postgres"}
_PATIENCE_SECONDS: Final = 10
_LOCK: Final = 7_914_563_270_841
"""Number of the advisory lock that PostgreSQL holds while its tables are made; any will do."""
_UNSUPPORTED: Final = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOTSUP})
"""How a network share says that it cannot lock a folder."""
_BLANKED: Final = frozenset("#?%")
"""Characters that mean something else in an address than in the name of a folder."""

_opened: set[tuple[str, str]] = set()
"""Stores that this process has opened, by address and working folder."""


def address() -> str:
    """Return the address of the tracking server in use, with its password."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE


def file_of_store() -> Path | None:
    """Return the file that the store is; None for a server, or a database in memory."""
    url = make_url(address()) if address().startswith("sqlite") else None
    if url is None or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database)).absolute()


def open_store(*, makes: bool) -> None:
    """Open a store that is a database, and refuse one that MLflow could not work with.

    `makes`: whether a missing file may be created.
    Raises UnreachableError if the file is lost, which MLflow would replace by a new one without
    models; RegistryError if it cannot be read or made by this user, its schema is another MLflow's,
    or its address needs a package that is not installed; SQLAlchemyError if the database does not
    answer.
    """
    path = file_of_store()
    if path is not None:
        _require_file(path, makes=makes)
    # a relative address means another file in another folder
    key = (address(), str(Path.cwd()))
    if key in _opened and (path is None or path.exists()):
        return
    if path is not None:
        with _holding(path.parent):
            _require_schema(path)
            if not path.exists():  # it will name customers' models: for its owner alone
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _open()
    elif address().startswith(_SERVED):
        _open_served(make_url(address()))
    _opened.add(key)


def require_writable_store() -> None:
    """Refuse a store that is a file which this user cannot write.

    Raises RegistryError naming the file or its folder, the user and the cure.
    """
    path = file_of_store()
    if path is None:
        return
    # SQLite keeps its journal in the same folder
    for place in (path, path.parent) if path.exists() else (_nearest(path),):
        reason = _unwritable(place)
        if reason:
            raise RegistryError(
                f"MLflow's store {path} cannot be written by {current_account()}: {place} "
                f"{reason}; give this user the right to write it, or name another store in "
                "MLFLOW_TRACKING_URI"
            )


def require_writable_files(location: str, *, experiment: str) -> None:
    """Refuse an experiment whose files this user could not write.

    `location`: where MLflow keeps the experiment's files; on another machine it is not looked at.
    """
    if not is_here(location):
        return
    place = _nearest(path_of_files(location))
    reason = _unwritable(place)
    if reason:
        raise RegistryError(
            f"MLflow keeps the files of experiment {experiment!r} at {location}, which "
            f"{current_account()} cannot write: {place} {reason}; give this user the right to "
            "write there, mount its disk, or name another store in MLFLOW_TRACKING_URI"
        )


def make_files_private(location: str) -> None:
    """Make the folder of all files of a new store, such as ``mlruns``, for its owner alone.

    `location`: where MLflow keeps an experiment's files; a folder that exists keeps its rights.
    """
    if is_here(location):
        path_of_files(location).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def is_here(location: str) -> bool:
    """Return whether files are on this machine: at a path, or an address of a file."""
    return location.startswith("file:") or not re.match(r"[a-z][a-z0-9+.-]*:", location)


def path_of_files(location: str) -> Path:
    """Return the folder of files that MLflow keeps on this machine, read as MLflow reads it."""
    return Path(str(local_file_uri_to_path(location)))  # type: ignore[no-untyped-call]


def location_for(experiment: str) -> str | None:
    """Return where the files of a new experiment go; None is MLflow's own choice.

    MLflow takes the working folder's name for a part of an address: it would put the files of a
    folder ``50%20x`` into ``50 x``.
    """
    here = Path.cwd()
    if file_of_store() is None or not _BLANKED & set(str(here)):
        return None
    return (here / "mlruns" / experiment).as_uri()


def _require_file(path: Path, *, makes: bool) -> None:
    if not path.exists():
        if makes:
            require_writable_store()
            return
        raise UnreachableError(
            f"MLflow's store {path} does not exist: mount its share, start in the folder that "
            "has it, or name it in MLFLOW_TRACKING_URI; where there never was one, kyc-ml "
            "train makes it"
        )
    if not path.is_file() or not os.access(path, os.R_OK):
        raise RegistryError(
            f"MLflow's store {path} cannot be read by {current_account()}: give this user the "
            "right to read it, or name another store in MLFLOW_TRACKING_URI"
        )


def _require_schema(path: Path) -> None:
    """Refuse a file of another MLflow, which MLflow would change or call out of date."""
    if not path.exists() or path.stat().st_size == 0:
        return
    engine = sqlalchemy.create_engine(
        # read only: a check must neither make nor change the file
        URL.create(
            "sqlite",
            database=path.as_uri().replace("file://", "file:"),
            query={"mode": "ro", "uri": "true"},
        )
    )
    try:
        with engine.connect() as connection:
            _compare_schema(connection)
    finally:
        engine.dispose()


def _compare_schema(connection: Connection) -> None:
    """Compare the revision of a database with MLflow's own; one that is empty passes."""
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return
    query = sqlalchemy.text("SELECT version_num FROM alembic_version")
    found = connection.execute(query).scalar()
    known = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if found is None or found in known.get_heads():
        return
    try:
        known.get_revision(str(found))
    except CommandError:
        cure = "a newer MLflow made it: install that version, or name another store"
    else:
        cure = (
            "an older MLflow made it: back it up, and when that version is no longer needed "
            "run: mlflow db upgrade ADDRESS"
        )
    raise RegistryError(
        f"MLflow's store has schema {found}, the installed MLflow {mlflow.__version__} needs "
        f"{', '.join(known.get_heads())}; {cure} (MLFLOW_TRACKING_URI)"
    )


def _open() -> None:
    """Create or open MLflow's tables of runs and of models."""
    mlflow.set_tracking_uri(address())
    client = mlflow.MlflowClient()
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)


def _open_served(url: URL) -> None:
    """Open a database that a server keeps; its tables are made by one process alone."""
    wait = {"connect_timeout": _PATIENCE_SECONDS} if url.get_backend_name() != "mssql" else {}
    try:
        engine = sqlalchemy.create_engine(url, connect_args=wait)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name))
        cure = f"pip install 'kyc-ml[{extra}]'" if extra else f"pip install {error.name}"
        raise RegistryError(
            f"MLFLOW_TRACKING_URI names a {url.get_backend_name()} database, for which the package "
            f"{error.name} is not installed: {cure}"
        ) from None
    try:
        with engine.connect() as connection:
            _compare_schema(connection)
            if url.get_backend_name() == "postgresql":
                # the lock ends with the connection
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_LOCK})"))
            _open()
    finally:
        engine.dispose()


@contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one process after another opens its store; leave no file behind."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
        except OSError as error:
            # a share without locks: two first uses at the same time may still collide
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(number)


def _nearest(path: Path) -> Path:
    """Return the path itself, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _unwritable(place: Path) -> str:
    """Explain why this user cannot write a file or into a folder; empty if they can."""
    refusal = why_unwritable(place)
    return f"says {os.strerror(refusal)!r}" if refusal else ""
