"""Profiles of unknown files from a bounded sample: counts and shapes of each column's values.

Values stay in the engine, except codes that a CASE expression must name: the values of a column
with at most `MOST_CODES` short ones, each with many rows, so that they are not identifiers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import duckdb

from kyc_ml import contract as c
from kyc_ml.errors import Faults, SourceError
from kyc_ml.onboarding.proposal.finding import FoundFolder, FoundSource
from kyc_ml.onboarding.proposal.vocabulary import normalise, note, words
from kyc_ml.storage import connect, quote_name, quote_text

ROWS: Final = 300_000
"""Rows of the sample of a table, drawn at random where there are more."""
MOST_CODES: Final = 12
_LONGEST_CODE: Final = 40
_ROWS_A_CODE: Final = 4
_HEAD_BYTES: Final = 256 << 20
"""Bytes of the sample of a text file: its beginning, where it is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSample:
    """Profile of a column in the sample."""

    name: str
    normal: str
    """Its name in small letters, words separated by ``_``."""
    type: str
    """DuckDB's type; text for every column of a CSV or JSON file."""
    filled: float
    """Share of rows with a value, in [0, 1]."""
    distinct: int
    """Number of different values; `unique` where no two rows have the same."""
    unique: bool
    number: float
    whole: float
    """`number` and `whole`: share of the values that are numbers, and whole ones."""
    negative: float
    """Share of the numbers below zero."""
    low: float
    high: float
    """`low` and `high`: range of the numbers; NaN without numbers."""
    shortest: int
    longest: int
    """`shortest` and `longest`: length of the values as text."""
    codes: tuple[str, ...]
    """The values, if they are few enough to be codes and not identifiers; otherwise empty."""
    table: str
    """Name of its source, and `rows` of the sample."""
    rows: int
    engine: Engine = field(repr=False, compare=False)
    """Engine in which expressions are tried on it."""

    @property
    def sql(self) -> str:
        """The column as an SQL expression."""
        return plain_name(self.name)

    @property
    def family(self) -> c.RuleFamily | None:
        """The contract's grouping of its type."""
        return c.family_of(self.type)

    @property
    def text(self) -> str:
        """The column as text, in SQL."""
        return self.sql if self.type == "VARCHAR" else f"CAST({self.sql} AS VARCHAR)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSample:
    """Profile of a source in the sample."""

    found: FoundSource
    rows: int
    """Rows of the sample; all rows unless `partly`."""
    partly: bool
    columns: tuple[ColumnSample, ...]
    engine: Engine = field(repr=False, compare=False)
    malformed: int = 0
    """Lines that have more or fewer values than there are columns."""

    @property
    def name(self) -> str:
        """The name that SQL knows it by."""
        return self.found.name

    @property
    def normal(self) -> str:
        """Its name in small letters, words separated by ``_``."""
        return normalise(self.found.name)

    @property
    def sql(self) -> str:
        """The table's name in SQL."""
        return plain_name(self.found.name)

    def column(self, name: str) -> ColumnSample:
        """Return the column called `name`; KeyError without one."""
        return {column.name: column for column in self.columns}[name]


@dataclass(slots=True)
class Engine:
    """All samples, and the engine in which expressions are tried on them.

    `unusable` maps a file to the reason.
    """

    connection: duckdb.DuckDBPyConnection
    samples: list[FileSample] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    _answers: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)

    def all(self, sql: str) -> list[tuple[object, ...]]:
        """Run SQL; the rows are cached, because a file is examined for each table."""
        if sql not in self._answers:
            self._answers[sql] = self.connection.execute(sql).fetchall()
        return self._answers[sql]

    def one(self, sql: str) -> tuple[object, ...]:
        """Run SQL that returns one row."""
        return self.all(sql)[0]

    def counts(self, rows: str, *sums: str) -> list[int]:
        """Count over rows, an SQL table: one whole number for each of the sums."""
        found = self.one(f"SELECT {', '.join(sums)} FROM {rows}")
        return [int(number or 0) for number in found]  # type: ignore[call-overload]

    def sample(self, name: str) -> FileSample:
        """Return the profile of a source; KeyError without one."""
        return {sample.name: sample for sample in self.samples}[name]


def plain_name(name: str) -> str:
    """Write a name for SQL, in quotes only where SQL needs them."""
    bare = name.isascii() and name.isidentifier() and name.lower() not in words("sql_reserved")
    return name if bare else quote_name(name)


@contextmanager
def open_samples(data: Path, folder: FoundFolder) -> Iterator[Engine]:
    """Open every source of a folder as the contract would, and profile a sample of it.

    A source that cannot be opened is listed as unusable, with the contract's message.
    """
    with tempfile.TemporaryDirectory(prefix="kyc_ml_") as scratch:
        unusable = dict(folder.unusable)
        opened: dict[str, c.FoundFiles] = {}
        cut: dict[str, bool] = {}
        for number, source in enumerate(folder.sources):
            faults = Faults(source.name, SourceError)
            copies = Path(scratch) / str(number)
            copies.mkdir()
            found, cut[source.name] = _to_read(data, source, copies)
            opened |= c.make_plain({source.name: found}, copies=copies, faults=faults)
            if len(faults):
                unusable[source.source.path] = next(iter(faults))
        with closing(connect(data=None, files=c.readable_paths(opened.values()))) as connection:
            engine = Engine(connection, unusable=unusable)
            for source in folder.sources:
                if source.name in opened:
                    _open(engine, source, opened[source.name], cut=cut[source.name])
            yield engine


def _open(engine: Engine, source: FoundSource, found: c.FoundFiles, *, cut: bool) -> None:
    faults = Faults(source.name, SourceError)
    malformed = c.open_files(engine.connection, {source.name: found}, faults=faults).malformed
    if len(faults):
        engine.unusable[source.source.path] = next(iter(faults))
        return
    sample = _take_sample(engine, source, cut=cut)
    lines = len(malformed.get(source.name, ()))
    if sample.rows:
        engine.samples.append(replace(sample, malformed=lines))
        return
    engine.unusable[source.source.path] = (
        note("only_malformed", lines=lines) if lines else "has columns and no rows"
    )


def _to_read(data: Path, source: FoundSource, copies: Path) -> tuple[c.FoundFiles, bool]:
    """Return the files to read, heads of long texts in UTF-8; True if they are not complete."""
    root = data.resolve()
    names = tuple(str(path.relative_to(root)) for path in source.paths)
    found = c.FoundFiles(source=source.source, paths=source.paths, names=names)
    size = sum(path.stat().st_size for path in source.paths)
    if source.source.format not in {"csv", "json"} or size <= _HEAD_BYTES:
        return found, False
    each = max(_HEAD_BYTES // len(source.paths), 1 << 16)
    paths, cut = [], False
    for number, path in enumerate(source.paths):
        copy = copies / f"head_{number}"
        cut |= _copy_head(path, copy, encoding=source.source.encoding or "utf-8", most=each)
        paths.append(copy)
    plain = source.source.model_copy(update={"encoding": None})
    return replace(found, source=plain, paths=tuple(paths)), cut


def _copy_head(path: Path, copy: Path, *, encoding: str, most: int) -> bool:
    """Copy whole lines of a text file as UTF-8, about `most` bytes; True if it has more."""
    with c.open_plain(path) as handle, copy.open("wb") as out:
        left = most
        for block in c.as_utf8(handle, encoding):
            if len(block) > left:
                # cut after a whole line
                out.write(block[: block.rfind(b"\n", 0, left) + 1])
                return True
            out.write(block)
            left -= len(block)
    return False


def _take_sample(engine: Engine, source: FoundSource, *, cut: bool) -> FileSample:
    connection = engine.connection
    name, whole = quote_name(source.name), quote_name(f"whole:{source.name}")
    kind = connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name = ? AND temporary", [source.name]
    ).fetchall()[0][0]
    thing = "VIEW" if kind else "TABLE"
    connection.execute(f"ALTER {thing} {name} RENAME TO {whole}")
    rows = connection.execute(f"SELECT count(*) FROM {whole}").fetchall()[0][0]
    # with a seed: the same files give the same proposal
    sample = f" USING SAMPLE reservoir({ROWS} ROWS) REPEATABLE (7)" if rows > ROWS else ""
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM {whole}{sample}")
    connection.execute(f"DROP {thing} {whole}")
    columns = connection.execute(f"DESCRIBE {name}").fetchall()
    kept = min(rows, ROWS)
    return FileSample(
        found=source,
        rows=kept,
        partly=cut or rows > ROWS,
        columns=tuple(_profile(engine, source.name, *row[:2], rows=kept) for row in columns),
        engine=engine,
    )


def _profile(engine: Engine, table: str, name: str, type_: str, *, rows: int) -> ColumnSample:
    text = f"CAST({quote_name(name)} AS VARCHAR)"
    filled, distinct, numbers, whole, negative, low, high, shortest, longest = (
        engine.connection.execute(
            "SELECT count(t), count(DISTINCT t), count(n), count(n) FILTER (n = floor(n)), "
            "count(n) FILTER (n < 0), min(n), max(n), min(length(t)), max(length(t)) FROM ("
            f"SELECT nullif(trim({text}), '') AS t, CASE WHEN isfinite(TRY_CAST({text} AS DOUBLE)) "
            f"THEN TRY_CAST({text} AS DOUBLE) END AS n FROM {quote_name(table)})"
        ).fetchall()[0]
    )
    # more rows than values, few values and short ones: codes and not identifiers
    coded = 0 < distinct <= MOST_CODES and filled >= _ROWS_A_CODE * distinct
    codes: Sequence[tuple[str]] = ()
    if coded and (longest or 0) <= _LONGEST_CODE:
        codes = engine.connection.execute(
            f"SELECT trim({text}) AS t FROM {quote_name(table)} "
            f"WHERE nullif(trim({text}), '') IS NOT NULL "
            "GROUP BY ALL ORDER BY count(*) DESC, t"
        ).fetchall()
    nan = float("nan")
    return ColumnSample(
        name=name,
        normal=normalise(name),
        type=type_,
        filled=filled / max(rows, 1),
        distinct=distinct,
        unique=distinct == filled and filled > 1,
        number=numbers / max(filled, 1),
        whole=whole / max(filled, 1),
        negative=negative / max(numbers, 1),
        low=nan if low is None else low,
        high=nan if high is None else high,
        shortest=shortest or 0,
        longest=longest or 0,
        codes=tuple(row[0] for row in codes),
        table=table,
        rows=rows,
        engine=engine,
    )


def contained(engine: Engine, inner: tuple[str, str], outer: tuple[str, str]) -> float:
    """Share of the distinct values of a column, (table, column), that another one holds."""
    (one, a), (two, b) = inner, outer
    row = engine.one(
        f"SELECT count(*) FILTER (t IN (SELECT CAST({quote_name(b)} AS VARCHAR) FROM "
        f"{quote_name(two)} WHERE {quote_name(b)} IS NOT NULL)) / nullif(count(*), 0) FROM "
        f"(SELECT DISTINCT CAST({quote_name(a)} AS VARCHAR) AS t FROM {quote_name(one)} "
        f"WHERE {quote_name(a)} IS NOT NULL)"
    )
    return float(row[0] or 0.0)  # type: ignore[arg-type]


def words_held(column: ColumnSample, known: Collection[str]) -> tuple[str, ...]:
    """List the known words, in small letters, that a column holds; no other value leaves it."""
    low = f"lower(trim({column.text}))"
    rows = column.engine.all(
        f"SELECT {low} AS word FROM {quote_name(column.table)} "
        f"WHERE {low} IN {quoted_codes(sorted(known))} GROUP BY ALL ORDER BY count(*) DESC, word"
    )
    return tuple(str(row[0]) for row in rows)


def quoted_codes(codes: Sequence[str]) -> str:
    """Write codes as an SQL list in brackets."""
    return "(" + ", ".join(quote_text(code) for code in codes) + ")"
