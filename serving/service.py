"""BentoML's door: one worker that holds the application, and stays alive to say why when there is none."""

import logging
import threading

import bentoml

from fradect.errors import FradectError
from fradect.settings import Settings
from serving import logs
from serving.app import Front, create
from serving.wiring import Service

log = logging.getLogger("serving.service")
front = Front()


# A tracer's middleware and the access log cost more than a whole decision; BentoML's metrics label raw paths.
@bentoml.service(
    name="fradect",
    workers=1,
    traffic={"timeout": 60},
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
            self._service = Service(Settings.from_env())
            front.app = create(self._service.start())
        except FradectError as error:
            front.fail(str(error))
        except Exception as error:  # whatever it is, the worker stays and says so
            log.exception("the service does not start")
            front.fail(f"{type(error).__name__}; see the log")
