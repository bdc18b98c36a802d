"""The server as an ASGI application: HTTP around the queue of `Turns`."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kyc_ml.config import read_packaged
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.scoring import KEY_HEADER, SCORED, Asked
from kyc_ml.serving.turns import Turns

_TEXTS: Final = read_packaged(Path(__file__).with_name("texts.yaml"))
_CODES: Final = {422: "refused", 409: "conflict", 500: "failed", 507: "not_kept"}
_BODY_SECONDS: Final = 10.0


class RefusedBodyError(ValueError):
    """A body that is not read: its status, and the code of its error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def make_app(
    turns: Turns,
    figures: Figures,
    *,
    schema: Mapping[str, Any],
    model: Callable[[], Mapping[str, Any]],
    most_bytes: int,
    most_transactions: int,
) -> ASGIApp:
    """Return the application.

    `model`: describes the model that scores.
    `most_bytes`, `most_transactions`: of one request.
    """

    async def answer(request: Request) -> Response:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                given = _read_json(await _read_body(request, most_bytes))
            rows = _transactions(given, most_transactions)
        except TimeoutError:
            return _refusal(408, "not_json")
        except RefusedBodyError as error:
            return _refusal(error.status, error.code)
        asked = Asked(transactions=rows, key=request.headers.get(KEY_HEADER))
        loop, answered = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has ended: what is scored is kept
                loop.call_soon_threadsafe(answered.set)

        if not turns.put(asked, wake):
            return _refusal(503, "busy")
        await answered.wait()
        if asked.status != SCORED:
            return _refusal(asked.status, _CODES[asked.status], asked)
        several = isinstance(given, list)
        body = b"[" + b",".join(asked.answers) + b"]" if several else asked.answers[0]
        return Response(body, media_type="application/json")

    async def tell(request: Request) -> Response:
        ready = turns.ready.is_set()
        match request.url.path:
            case "/v1/model":
                return JSONResponse(dict(model()))
            case "/v1/openapi.json":
                return JSONResponse(dict(schema))
            case "/metrics":
                return PlainTextResponse(figures.write())
            case "/ready":
                return PlainTextResponse(str(ready), 200 if ready else 503)
        return PlainTextResponse("alive")

    paths = ("/v1/model", "/v1/openapi.json", "/metrics", "/ready", "/health")
    routes = [Route(path, tell, methods=["GET"]) for path in paths]
    others = Starlette(routes=[*routes, Route("/v1/score", answer, methods=["POST"])])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", "/v1/score"):
            await others(scope, receive, send)
            return
        # without routes and layers of an application, which take as long as to write the answer
        began = time.perf_counter()
        response = await answer(Request(scope, receive))
        figures.observe("total", time.perf_counter() - began)
        figures.count("requests", "status", str(response.status_code))
        await response(scope, receive, send)

    return app


async def _read_body(request: Request, most_bytes: int) -> bytes:
    """Read a body; raise before more than `most_bytes` are in memory."""
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > most_bytes:
            raise RefusedBodyError(413, "too_large")
    return bytes(read)


def _read_json(body: bytes) -> Any:  # noqa: ANN401  any JSON
    try:
        return json.loads(body.decode(), parse_constant=int, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise RefusedBodyError(400, "not_json") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError where a field occurs twice, as `int` raises for NaN."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(len(pairs))
    return found


def _transactions(given: object, most: int) -> list[dict[str, Any]]:
    rows: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(each, dict) for each in rows):
        raise RefusedBodyError(400, "not_json")
    if not 1 <= len(rows) <= most:
        raise RefusedBodyError(422, "too_many")
    return rows


def _refusal(status: int, code: str, asked: Asked | None = None) -> Response:
    """Return an error with all its faults, and when to try again where that may help."""
    faults = [
        {"place": place, "field": broken.column, "rule": broken.key, **_say("rules", broken.key)}
        for place, broken in (asked.faults if asked else ())
    ]
    again = {"Retry-After": "1"} if status in {503, 507} else None
    return JSONResponse({"code": code, **_say("errors", code), "faults": faults}, status, again)


def _say(kind: str, key: str) -> dict[str, str]:
    text = _TEXTS[kind][key]
    return {"text": text["en"], "text_zh": text["zh"]}
