"""Log lines of the service: one JSON object each, whatever is in the message."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from fradect.masking import guard_logs


class JsonLines(logging.Formatter):
    """Time, level, logger and message; an exception's trace as one more member, so a line stays a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = record.exc_text or self.formatException(record.exc_info)
        return msgspec.json.encode({k: v.encode("utf-8", "replace").decode() for k, v in line.items()}).decode()


def set_up() -> None:
    """Our own loggers to stderr as JSON lines; those of other packages are left as they are, but masked as ours."""
    guard_logs()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("fradect", "serving"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
