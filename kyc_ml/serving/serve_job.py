"""run_serve: answer requests over HTTP until the process is asked to stop."""

import gc
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from kyc_ml.display import ProgressReporter
from kyc_ml.errors import KycMlError, OutputError
from kyc_ml.registry import version_of
from kyc_ml.serving.app import make_app
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.openapi import make_openapi
from kyc_ml.serving.scorer import Scorer, ServeRequest
from kyc_ml.serving.scoring import ModelNow, Scoring
from kyc_ml.serving.turns import Turns

_GRACE_SECONDS = 20
_SWITCH_SECONDS = 0.0005
"""A request that arrives waits at most so long for the thread that computes."""


def run_serve(request: ServeRequest, *, reporter: ProgressReporter) -> None:
    """Serve scores until SIGTERM or Ctrl-C; what was accepted is answered first.

    SIGHUP loads the model again if its address means another version by now.

    Raises KycMlError if the store or the model is faulty; see `Scorer.open`; OutputError if the
    address is taken, or the store cannot be read again after a full disk.
    """
    try:
        listening = socket.create_server((request.host, request.port))
    except OSError as error:
        msg = f"{request.host}:{request.port} cannot be listened at: {error.strerror}"
        raise OutputError(msg) from None
    figures = Figures()
    with listening, Scorer(request, reporter=reporter, observe=figures.observe) as scorer:
        _Service(scorer, figures, reporter).serve(listening)


class _Service:
    """The threads of a server: HTTP in the first, scoring in one, looking for models in one."""

    def __init__(self, scorer: Scorer, figures: Figures, reporter: ProgressReporter) -> None:
        self._scorer, self._figures, self._reporter = scorer, figures, reporter
        request = scorer.request
        self._turns = Turns(
            self._begin,
            most=request.waiting,
            figures=figures,
            between=self._between,
            noted=self._note,
            failed=self._fail,
        )
        app = make_app(
            self._turns,
            figures,
            schema=make_openapi(*scorer.columns()),
            model=scorer.about_model,
            most_bytes=request.most_bytes,
            most_transactions=request.most_transactions,
        )
        self._look, self._stopped = threading.Event(), threading.Event()
        self._new: ModelNow | None = None
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _Server(config, look=self._look)

    def serve(self, listening: socket.socket) -> None:
        """Answer requests until a signal comes, or a thread fails."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._turns.start()
        looking = threading.Thread(target=self._watch, name="models", daemon=True)
        looking.start()
        host, port, *_ = listening.getsockname()
        self._tell_model(f"serving {{}} at http://{host}:{port}")
        try:
            self._server.run(sockets=[listening])
        finally:
            self._turns.stop()
            self._stopped.set()
            self._look.set()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        """Look, from time to time and when asked, whether the address means another model."""
        request, version = self._scorer.request, ""
        while not self._stopped.is_set():
            try:
                now = version_of(request.model)
                if version not in {"", now}:
                    self._new = self._scorer.renew()
                version = now
            except KycMlError as error:
                self._figures.count("reloads", "result", "failed")
                self._reporter.warning(f"the model in use stays: {error}")
            self._look.wait(request.poll_seconds)
            self._look.clear()

    def _begin(self) -> Scoring:
        state = self._scorer.begin()
        self._figures.rows = self._scorer.rows()
        # what stays is not looked through again: a pause would be in every latency it causes
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return state

    def _between(self, state: Scoring) -> Scoring:
        """Take a new model, or a new state where another process has written the store."""
        new, self._new = self._new, None
        state = self._scorer.take(state, new)
        if new is not None:
            self._figures.count("reloads", "result", "done")
            self._tell_model("serving {} from now on")
        return state

    def _tell_model(self, said: str) -> None:
        about = self._scorer.about_model()
        self._figures.model = {name: str(about[name]) for name in ("name", "version", "digest")}
        self._reporter.info(said.format(about["version"]))

    def _note(self, error: Exception) -> None:
        defect = [*traceback.format_tb(error.__traceback__), type(error).__name__]
        # the message of a defect may quote a customer's value
        self._reporter.warning(str(error) if isinstance(error, KycMlError) else "".join(defect))

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, with the signals of this command: the exit code of a graceful stop is 0."""

    def __init__(self, config: uvicorn.Config, *, look: threading.Event) -> None:
        super().__init__(config)
        self._look = look

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, look for a model at SIGHUP."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            self.should_exit = True

        heard = {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: lambda *_: self._look.set(),
        }
        before = {number: signal.signal(number, handler) for number, handler in heard.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
