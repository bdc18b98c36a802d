"""Delivery: every message that is due, until a route has accepted it."""

import fcntl
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kyc_ml.config import AlertsConfig
from kyc_ml.errors import RouteError
from kyc_ml.monitoring.alerts.book import AlertBook, routes_of
from kyc_ml.monitoring.alerts.routes import send


def deliver(book: AlertBook, config: AlertsConfig, *, folder: Path) -> tuple[int, list[str]]:
    """Send every message that is due; return how many routes accepted, and what went wrong.

    After a failure a route gets no further message in this run. Jobs that run together wait for
    each other, so that a message is sent twice only after a kill.
    """
    sent, failed = 0, dict[str, str]()
    with _alone(book):
        silent = {each.id for each in book.alerts() if each.is_snoozed(book.time)}
        with book.transaction() as database:
            query = "SELECT * FROM alert_messages WHERE NOT done ORDER BY rowid"
            due = [dict(row) for row in database.execute(query) if row["alert"] not in silent]
        for message in due:
            name, content = message["route"], json.loads(message["content"])
            if name not in config.routes:
                with book.transaction() as database:
                    _tick(book, database, message, what="dropped")
                    routes = routes_of(content, config)
                    book.queue(database, message["what"], routes, content)
                continue
            fault = failed.get(name, "")
            try:
                if not fault:
                    send(content, config.routes[name], folder=folder)
            except RouteError as error:
                fault = failed[name] = f"route {name}: {error}"
            with book.transaction() as database:
                if not fault:
                    _tick(book, database, message, what="sent")
                    sent += 1
                    continue
                change = "UPDATE alert_messages SET attempts = attempts + 1, fault = ? WHERE id = ?"
                database.execute(change, (fault, message["id"]))
                if fault != message["fault"]:
                    book.write(database, message["alert"], "failed", who=name, said=fault)
    return sent, list(failed.values())


def _tick(
    book: AlertBook, database: sqlite3.Connection, message: Mapping[str, str], *, what: str
) -> None:
    """Note that a message needs nothing more."""
    database.execute("UPDATE alert_messages SET done = 1 WHERE id = ?", (message["id"],))
    book.write(database, message["alert"], what, who=message["route"], said=message["what"])


@contextmanager
def _alone(book: AlertBook) -> Iterator[None]:
    """Wait until no other job sends; a job that was killed lets go."""
    with (book.folder / ".alerts.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
