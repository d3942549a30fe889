"""A stage: a plain function that becomes a Prefect task when a Prefect flow calls it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from flows.wiring.storage import working

P = ParamSpec("P")
R = TypeVar("R")


def stage(retries: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Under a flow: a task with these retries, never cached, since stages have effects. Elsewhere: the function.

    Around a stage of one module and tenant the home and the store that it shares are brought together.
    """

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        function = _shared(plain)
        under_prefect: Any = task(
            name=function.__name__, retries=retries, retry_delay_seconds=5, cache_policy=NO_CACHE, persist_result=False
        )(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if FlowRunContext.get() is None:
                return function(*args, **kwargs)
            return cast(R, under_prefect(*args, **kwargs))

        return run

    return decorate


def _shared(function: Callable[P, R]) -> Callable[P, R]:
    signature = inspect.signature(function)
    if not {"module", "tenant"} <= set(signature.parameters):
        return function

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        with working(given["module"], given["tenant"], given.get("release_id")):
            return function(*args, **kwargs)

    return run
