"""JSON-RPC 2.0 from text to text: single requests, batches, notifications, errors.

Knows neither sockets nor what the methods do. A handler that fails in a way of its own is logged
with its traceback and answered with -32603; the node goes on. Batches and answers are bounded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from typing import NoReturn

from chain.devnet.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    OVERSIZED_REQUEST,
    OVERSIZED_RESPONSE,
    PARSE_ERROR,
    TOO_BIG_BATCH_REQUEST,
    TOO_BIG_BATCH_RESPONSE,
    RpcError,
    explain,
)
from chain.devnet.rpc.params import Handler, Signature
from chain.devnet.rpc.session import Context
from chain.errors import ChainError

__all__ = ["Dispatcher", "error_text"]

REQUESTS_A_BATCH = 4096
ANSWER_CHARACTERS = 64 * 2**20
VALUES_A_MESSAGE = 200_000
"""As many arrays, objects and items: Python makes an object of each, while everybody waits."""
CONTROL = "devnet_"
"""Methods with this prefix change the chain past its rules: not everybody may call them."""

_log = logging.getLogger(__name__)


class Dispatcher:
    """Answers requests by calling the handlers of `methods`; an answer has at most `limit`."""

    def __init__(self, methods: Mapping[str, Handler], limit: int = ANSWER_CHARACTERS) -> None:
        self._methods = {name: (handler, Signature(handler)) for name, handler in methods.items()}
        self._limit = limit

    async def answer(self, text: str | bytes, ctx: Context) -> str | None:
        """The response to one message; None if nothing in it wants one."""
        if _values(text) > VALUES_A_MESSAGE:
            return error_text(OVERSIZED_REQUEST, "Request is too big", VALUES_A_MESSAGE)
        try:
            message = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return error_text(PARSE_ERROR, f"Parse error: {error}")
        if not isinstance(message, list):
            return await self._answer_one(message, ctx)
        if not message:
            return error_text(INVALID_REQUEST, "Invalid request: an empty batch")
        if len(message) > REQUESTS_A_BATCH:
            return error_text(
                TOO_BIG_BATCH_REQUEST, "The batch request was too large", REQUESTS_A_BATCH
            )
        answers = []
        room = self._limit
        for request in message:
            answer = await self._answer_one(request, ctx)
            if answer is not None:
                answers.append(answer)
                room -= len(answer)
                if room < 0:  # the rest is not done either
                    return error_text(
                        TOO_BIG_BATCH_RESPONSE, "The batch response was too large", self._limit
                    )
            await asyncio.sleep(0)  # a long batch must not hold up the chain
        return f"[{','.join(answers)}]" if answers else None

    async def _answer_one(self, request: object, ctx: Context) -> str | None:
        request_id: object = None
        try:
            method, params, request_id = _request(request)
            wanted = isinstance(request, dict) and "id" in request
        except RpcError as error:
            return _error(_id_of(request), error)
        try:
            result = await self._call(method, params, ctx)
        except RpcError as error:
            return _error(request_id, error) if wanted else None
        if not wanted:
            return None
        answer = _dump({"jsonrpc": "2.0", "result": result, "id": request_id})
        if len(answer) > self._limit:
            excess = f"Exceeded max limit of {self._limit}"
            return _error(request_id, RpcError(OVERSIZED_RESPONSE, "Response is too big", excess))
        return answer

    async def _call(self, method: str, params: object, ctx: Context) -> object:
        if method not in self._methods:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method[:80]}")
        if method.startswith(CONTROL) and not ctx.may_control:
            raise RpcError(METHOD_NOT_FOUND, f"{method} answers only to clients on the node's host")
        handler, signature = self._methods[method]
        try:
            return await handler(ctx, *signature.bind(params))
        except ChainError as error:
            raise explain(error) from error
        except Exception as error:  # one request's bug is not the node's end
            _log.exception("%s failed", method)
            raise RpcError(
                INTERNAL_ERROR, f"Internal error in {method}: {type(error).__name__}: {error}"
            ) from error


def error_text(code: int, message: str, limit: int | None = None) -> str:
    """A response for a message whose id is not known; `limit` is what it went beyond."""
    data = None if limit is None else f"Exceeded max limit of {limit}"
    return _error(None, RpcError(code, message, data))


def _values(text: str | bytes) -> int:
    """At least as many values as `text` holds beside its first, in a pass that makes none."""
    if isinstance(text, bytes):
        return text.count(b",") + text.count(b"[") + text.count(b"{")
    return text.count(",") + text.count("[") + text.count("{")


def _request(request: object) -> tuple[str, object, object]:
    """Method, params and id of a well-formed request."""
    if not isinstance(request, dict):
        raise RpcError(INVALID_REQUEST, "Invalid request: not an object")
    if request.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'Invalid request: "jsonrpc" must be "2.0"')
    method = request.get("method")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, 'Invalid request: "method" must be a string')
    params = request.get("params")
    if params is not None and not isinstance(params, list | dict):
        raise RpcError(INVALID_REQUEST, 'Invalid request: "params" must be an array or an object')
    if "id" in request and not _is_id(request["id"]):
        raise RpcError(INVALID_REQUEST, 'Invalid request: "id" must be a string, number or null')
    return method, params, request.get("id")


def _is_id(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _id_of(request: object) -> object:
    found = request.get("id") if isinstance(request, dict) else None
    return found if _is_id(found) else None


def _error(request_id: object, error: RpcError) -> str:
    body: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return _dump({"jsonrpc": "2.0", "error": body, "id": request_id})


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
