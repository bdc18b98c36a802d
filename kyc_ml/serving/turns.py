"""One thread that computes, in turns: what waits is scored together, and kept in one commit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, TypeAlias

from kyc_ml.errors import OutputError
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.scoring import Asked, Scoring

_MOST_IN_TURN: Final = 64
"""Requests of one commit: a bound of the time that the first of them waits for the last."""


_IDLE_SECONDS: Final = 1.0
_Waiting: TypeAlias = tuple[Asked, Future[Asked]]


class Turns:
    """A bounded queue of requests, and the thread that answers them.

    Parameters
    ----------
    begin : callable
        Returns the state of scoring; called in the thread, again after each failed commit.
    most : int
        Transactions that may wait.
    between : callable
        Returns the state to go on with, between turns and each second without a request.
    noted, failed : callable
        Called with an error of a turn, and with one that ends the thread.
    """

    def __init__(
        self,
        begin: Callable[[], Scoring],
        *,
        most: int,
        figures: Figures,
        between: Callable[[Scoring], Scoring],
        noted: Callable[[Exception], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._begin, self._between = begin, between
        self._noted, self._failed = noted, failed
        self._most, self._figures = most, figures
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._size = 0
        self._stopping = False
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scoring")

    def start(self) -> None:
        """Start the thread; `ready` is set once it can answer."""
        self._thread.start()

    def put(self, asked: Asked) -> Future[Asked] | None:
        """Let a request wait for its turn; None where the queue is full, or it is ending."""
        rows = len(asked.transactions)
        with self._lock:
            if self._stopping or not self.ready.is_set() or self._size + rows > self._most:
                return None
            self._size += rows
            self._figures.waiting = self._size
            answer: Future[Asked] = Future()
            self._waiting.put((asked, answer))
        return answer

    def stop(self) -> None:
        """Accept no more, answer what waits, and end the thread."""
        with self._lock:
            self._stopping = True
            self.ready.clear()
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            state = self._begin()
            self.ready.set()
            while (taken := self._take()) is not None:
                if taken:
                    state = self._answer(taken, state)
                state = self._between(state)
        except BaseException as error:  # noqa: BLE001  the process ends with it
            self._failed(error)

    def _take(self) -> list[_Waiting] | None:
        """Return what waits, [] after a second without a request; None once all is answered."""
        taken: list[_Waiting] = []
        try:
            while len(taken) < _MOST_IN_TURN:
                # only the first is waited for
                each = self._waiting.get(block=not taken, timeout=_IDLE_SECONDS)
                if each is None:
                    self._waiting.put(None)
                    return taken or None
                taken.append(each)
        except queue.Empty:
            pass
        return taken

    def _answer(self, taken: Sequence[_Waiting], state: Scoring) -> Scoring:
        """Answer requests, those of a turn with a defect one by one; return the state to go on."""
        try:
            state.turn([asked for asked, _ in taken])
        except Exception as error:  # noqa: BLE001  a defect of one request must not stop others
            self._noted(error)
            state = self._begin()
            if not isinstance(error, OutputError) and len(taken) > 1:
                for each in taken:
                    state = self._answer([each], state)
                return state
        with self._lock:
            self._size -= sum(len(asked.transactions) for asked, _ in taken)
            self._figures.waiting = self._size
        for asked, answer in taken:
            answer.set_result(asked)
        return state
