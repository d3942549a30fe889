"""What both clients do alike: how a request is made, how a batch is waited for, what their methods look like."""

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, get_args

import httpx

from fradect_client import types
from fradect_client.call import Call
from fradect_client.errors import ConnectionFailed, StillProcessing
from fradect_client.settings import BATCH_PAUSES, Access

Content = bytes | Iterator[bytes] | AsyncIterator[bytes] | None


def request_of(
    http: httpx.Client | httpx.AsyncClient, call: Call[Any], access: Access, content: Content, timeout: float
) -> httpx.Request:
    headers = {**call.headers, **access.headers()}
    return http.build_request(
        call.method, call.path, params=call.query, headers=headers, content=content, timeout=timeout
    )


def ended_early(call: Call[Any], failure: httpx.TransportError) -> ConnectionFailed:
    return ConnectionFailed(f"{call.path} ended before all of it was there: {failure}")


class Looks:
    """At a batch that is waited for, `timeout` seconds from now."""

    def __init__(self, timeout: float) -> None:
        self._timeout, self._ends = timeout, time.monotonic() + timeout
        self._pause, self._most = BATCH_PAUSES

    def pause_after(self, job: types.Job) -> float:
        """Seconds until the next look; StillProcessing where that would be too late."""
        pause, self._pause = self._pause, min(self._most, self._pause * 1.5)
        if time.monotonic() + pause > self._ends:
            raise StillProcessing(f"{job.job_id} has {job.done} of {job.total} rows after {self._timeout:g} s")
        return pause


def as_described(method: Callable[..., Any], call: Callable[..., Call[Any]]) -> None:
    """Let a method that sends what `call` makes show its name, words and parameters, and what it returns."""
    made = inspect.signature(call)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    (returned,) = get_args(made.return_annotation)
    shown = made.replace(parameters=[this, *made.parameters.values()], return_annotation=returned)
    shown_of: Any = method
    shown_of.__signature__, shown_of.__name__, shown_of.__doc__ = shown, call.__name__, call.__doc__
