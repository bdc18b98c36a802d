"""The server as an ASGI application: HTTP around the queue of `Turns`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kyc_ml.config import read_packaged
from kyc_ml.serving.figures import Figures
from kyc_ml.serving.scoring import (
    CONFLICT,
    FAILED,
    KEY_HEADER,
    NOT_KEPT,
    REFUSED,
    SCORED,
    Asked,
)
from kyc_ml.serving.turns import Turns

_TEXTS: Final = read_packaged(Path(__file__).with_name("texts.yaml"))
_CODES: Final = {REFUSED: "refused", CONFLICT: "conflict", FAILED: "failed", NOT_KEPT: "not_kept"}
_JSON: Final = "application/json"


class RefusedBodyError(ValueError):
    """A body that is not read: its status, and the code of its error."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
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
) -> Starlette:
    """Return the application.

    `model`: returns what is told of the model that scores.
    `most_bytes`, `most_transactions`: of one request.
    """

    async def score(request: Request) -> Response:
        began = time.perf_counter()
        try:
            given = _read_json(await _read_body(request, most_bytes))
            one = isinstance(given, dict)
            asked = Asked(
                transactions=_transactions(given, most_transactions),
                key=request.headers.get(KEY_HEADER),
            )
        except RefusedBodyError as error:
            return _refusal(error.status, error.code)
        waiting = turns.put(asked)
        if waiting is None:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "busy")
        # shielded: a client that goes away leaves its request to be scored and kept
        await asyncio.shield(asyncio.wrap_future(waiting))
        figures.observe("total", time.perf_counter() - began)
        if asked.status != SCORED:
            return _refusal(asked.status, _CODES[asked.status], asked)
        body = asked.answers[0] if one else b"[" + b",".join(asked.answers) + b"]"
        return Response(body, media_type=_JSON)

    async def ready(_: Request) -> Response:
        there = turns.ready.is_set()
        return PlainTextResponse("ready" if there else "not ready", 200 if there else 503)

    def plain(content: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            return content()

        return answer

    routes = {
        "/v1/model": plain(lambda: JSONResponse(dict(model()))),
        "/v1/openapi.json": plain(lambda: JSONResponse(dict(schema))),
        "/health": plain(lambda: PlainTextResponse("alive")),
        "/metrics": plain(lambda: PlainTextResponse(figures.write())),
        "/ready": ready,
    }
    found = [Route(path, answer, methods=["GET"]) for path, answer in routes.items()]
    counted = _counted(score, figures)
    return Starlette(routes=[*found, Route("/v1/score", counted, methods=["POST"])])


def _counted(
    score: Callable[[Request], Awaitable[Response]], figures: Figures
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        response = await score(request)
        figures.answered(response.status_code)
        return response

    return answer


async def _read_body(request: Request, most_bytes: int) -> bytes:
    """Read a body; raise before more than `most_bytes` are in memory."""
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > most_bytes:
            raise RefusedBodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")
    return bytes(read)


def _read_json(body: bytes) -> object:
    try:
        return json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "not_json") from None


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(name)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a field occurs twice"
        raise ValueError(msg)
    return found


def _transactions(given: object, most: int) -> list[dict[str, Any]]:
    rows: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(each, dict) for each in rows):
        raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "not_json")
    if not 1 <= len(rows) <= most:
        raise RefusedBodyError(HTTPStatus.UNPROCESSABLE_ENTITY, "too_many")
    return rows


def _refusal(status: int, code: str, asked: Asked | None = None) -> Response:
    """Return an error with all its faults, and when to try again where that may help."""
    faults = [
        {"place": place, "field": broken.column, "rule": broken.key, **_say("rules", broken.key)}
        for place, broken in (asked.faults if asked else ())
    ]
    again = status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE}
    return JSONResponse(
        {"code": code, **_say("errors", code), "faults": faults},
        status_code=status,
        headers={"Retry-After": "1"} if again else None,
    )


def _say(kind: str, key: str) -> dict[str, str]:
    text = _TEXTS[kind][key]
    return {"text": text["en"], "text_zh": text["zh"]}
