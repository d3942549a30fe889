"""Round trips to Redis over connections of redis-py's pool, without its pipeline: that costs more than the trip."""

import os
from collections.abc import Sequence
from typing import Any

import redis

Bytes = bytes | str | int


class Wire:
    """Connections that are nobody's at the moment, the last used first. Safe for threads: who speaks has one alone.

    A connection that the server closed meanwhile is opened anew, and everything is said once more: whatever is asked
    may be repeated. The client that the pool belongs to closes them all.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        # Its types say of every answer that it might have to be awaited.
        self._idle: list[Any] = []

    def exchange(self, commands: Sequence[Sequence[Bytes]]) -> list[Any]:
        """The answer to each, in one round trip, errors of the server's among them; other errors are raised."""
        connection = self._taken()
        try:
            try:
                answers = _asked(connection, commands)
            except redis.ConnectionError:
                connection.disconnect()
                answers = _asked(connection, commands)
        except BaseException:
            connection.disconnect()  # an answer that nobody read would be taken for the next one's
            raise
        finally:
            self._idle.append(connection)
        return answers

    def _taken(self) -> Any:
        try:
            while (connection := self._idle.pop()).pid != os.getpid():
                pass  # of the process that this one was forked from
        except IndexError:
            return self._pool.get_connection()
        return connection


def _asked(connection: Any, commands: Sequence[Sequence[Bytes]]) -> list[Any]:
    pack, read = connection.pack_command, connection.read_response
    packed = b"".join([piece for command in commands for piece in pack(*command)])
    connection.send_packed_command((packed,), check_health=False)
    answers = []
    for _ in commands:
        try:
            answers.append(read())
        except redis.ResponseError as error:
            answers.append(error)
    return answers
