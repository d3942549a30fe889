"""Random names for requests and decisions, from the system's source: asked for many at a time, since a call costs."""

import os
import threading

_AT_ONCE = 8192
_turn = threading.Lock()
_drawn = b""
_used = 0


def drawn_hex(size: int) -> str:
    """So many random bytes as hex digits; no byte is given twice. Not for processes that fork after the first call."""
    global _drawn, _used  # noqa: PLW0603  one store a process
    with _turn:
        if _used + size > len(_drawn):
            _drawn, _used = os.urandom(_AT_ONCE), 0
        _used += size
        return _drawn[_used - size : _used].hex()
