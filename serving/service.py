"""BentoML's door: workers that hold the application each, and stay alive to say why when there is none."""

import asyncio
import logging
import threading
from typing import TypeVar

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from fradect.errors import FradectError
from fradect.settings import Settings
from serving import logs
from serving.app import Front, create
from serving.wiring import Service
from serving.workers import Worker

T = TypeVar("T")
log = logging.getLogger("serving.service")
settings = Settings.from_env()
front = Front()


class Straight:
    """Requests of the interface go to the application as they come: the middleware of BentoML's own interface costs as
    much as a decision, and leaves a timer behind each of them for a minute."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            front.loop = asyncio.get_running_loop()
        is_ours = scope["type"] == "http" and scope["path"].startswith("/api/")
        await (front if is_ours else self._app)(scope, receive, send)


class Direct(bentoml.Service[T]):  # type: ignore[misc]  # it has no types
    """BentoML's service, but for the way into it."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        return Straight(super().to_asgi(is_main))


# A tracer's middleware and the access log are not asked for; BentoML's metrics label raw paths.
@bentoml.service(
    name="fradect",
    service_class=Direct,
    workers=settings.workers,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(front, path="/")
class FradectService:
    """The scoring service. An error here would make BentoML restart the worker for ever, so none leaves."""

    def __init__(self) -> None:
        logs.set_up()
        self._service: Service | None = None
        self._opening = threading.Thread(target=self._open, name="opening", daemon=True)
        self._opening.start()
        if settings.workers > 1:
            self._opening.join()  # the others take what comes meanwhile

    async def __is_ready__(self) -> bool:
        return front.app is not None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Finish what was accepted."""
        self._opening.join()
        if self._service is not None:
            self._service.close()

    def _open(self) -> None:
        try:
            worker = Worker(bentoml.server_context.worker_index or 1, settings.workers)
            self._service = Service(settings, worker)
            wired = self._service.start()
            front.app = create(wired)
            self._service.work(wired, lambda: front.loop)
        except FradectError as error:
            front.fail(str(error))
        except Exception as error:  # whatever it is, the worker stays and says so
            log.exception("the service does not start")
            front.fail(f"{type(error).__name__}; see the log")
