"""What a server is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kyc_ml.config import FilePath, read_path
from kyc_ml.registry import AUDIT_LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """A server of scores; paths may be given as text."""

    history: Path
    """Folder of the history store."""
    model: str
    """Registry address or folder of a bundle of unit fraud."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one, which the first line of the log names."""
    overrides: Path | None = None
    """Overrides entered for single customers."""
    waiting: int = 256
    """Transactions that may wait; more are refused with status 503."""
    most_transactions: int = 100
    """Of one request."""
    most_bytes: int = 1_000_000
    """Of the body of one request."""
    ahead_seconds: float = 5.0
    """How far in the future a transaction may lie, as clocks differ."""
    poll_seconds: float = 60.0
    """How often the registry is asked whether the address means another version."""
    audit_log: Path = AUDIT_LOG
    allow_unpromoted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", str(self.model))
        for name in ("history", "audit_log", "overrides"):
            given: FilePath | None = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, read_path(given, name=name))
