"""One thread that computes, in turns: what waits is scored together, and kept in one commit."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from kyc_ml.contract import TRANSACTIONS
from kyc_ml.errors import OutputError
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.scoring import Asked, Scoring

_MOST_IN_TURN: Final = 64
_IDLE_SECONDS: Final = 1.0
_HAND_OVER_SECONDS: Final = 0.00005
_Waiting: TypeAlias = tuple[Asked, Callable[[], None]]


class Turns:
    """A bounded queue of requests, and the thread that answers them.

    `begin`: returns the state of scoring; called in the thread, again after each failed commit.
    `between`: returns the next state; called after each turn, and when idle.
    `noted`, `failed`: called with an error of a turn, and with one that ends the thread.
    `most`: transactions that may wait.
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
        self._begin, self._between, self._noted, self._failed = begin, between, noted, failed
        self._most, self._figures = most, figures
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scoring")

    def start(self) -> None:
        """Start the thread; `ready` is set once it can answer."""
        self._thread.start()

    def put(self, asked: Asked, done: Callable[[], None]) -> bool:
        """Add a request to those that wait; False where the queue is full, or it is ending.

        `done`: called in the thread when `asked` has its status; again if the thread then fails.
        """
        with self._lock:
            waiting = self._figures.waiting + len(asked.transactions)
            if not self.ready.is_set() or waiting > self._most:
                return False
            self._figures.waiting = waiting
            self._waiting.put((asked, done))
        return True

    def stop(self) -> None:
        """Accept no more, answer what waits, and end the thread."""
        with self._lock:
            self.ready.clear()
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        taken: list[_Waiting] | None = []
        try:
            state = self._begin()
            self.ready.set()
            while (taken := self._take()) is not None:
                if taken:
                    state = self._answer(taken, state)
                state = self._between(state)
        except BaseException as error:  # noqa: BLE001  the process ends with it
            self.ready.clear()
            self._failed(error)
            self._waiting.put(None)
            while taken is not None:
                self._resolve(taken)
                taken = self._take()

    def _take(self) -> list[_Waiting] | None:
        """Return what waits, [] after a second without a request; None once all is answered."""
        taken: list[_Waiting] = []
        try:
            while len(taken) < _MOST_IN_TURN:
                each = self._waiting.get(block=not taken, timeout=_IDLE_SECONDS)
                if each is None:
                    self._waiting.put(None)
                    return taken or None
                taken.append(each)
        except queue.Empty:
            pass
        return taken

    def _answer(self, taken: Sequence[_Waiting], state: Scoring) -> Scoring:
        """Answer requests, those of a turn with a defect one by one; return the next state."""
        try:
            state.turn([asked for asked, _ in taken])
            self._figures.count("logged", "table", TRANSACTIONS, by=state.logged)
        except Exception as error:  # noqa: BLE001  a defect of one request must not stop others
            self._noted(error)
            state = self._begin()
            if not isinstance(error, OutputError) and len(taken) > 1:
                for each in taken:
                    state = self._answer([each], state)
                return state
        self._resolve(taken)
        # the thread of HTTP sends the answers now, and not in the middle of what follows
        time.sleep(_HAND_OVER_SECONDS)
        try:
            state.settle()
        except Exception as error:  # noqa: BLE001  what is in the log is read again
            self._noted(error)
            state = self._begin()
        return state

    def _resolve(self, taken: Sequence[_Waiting]) -> None:
        with self._lock:
            self._figures.waiting -= sum(len(asked.transactions) for asked, _ in taken)
        for _, done in taken:
            done()
