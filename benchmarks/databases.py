"""PostgreSQL of a benchmark's own, as durable as it comes: fsync on, every commit on disk before it is told."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.features import free_port

_PLACES = ("/usr/local/bin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")
_PATIENCE = 30.0


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server on a free port, gone at the end with all it held: its DSN, `postgresql://...`."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    who = _someone_else()
    if who:
        shutil.chown(folder, who["user"], who["group"])
    data, port = folder / "data", free_port()
    made = [_program("initdb"), "-D", str(data), "-U", "fradect", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
    options = ("-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "shared_buffers=128MB")
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [_program("postgres"), "-D", str(data), *options], stdout=log, stderr=log, cwd=folder, **who
    )
    try:
        dsn = f"postgresql://fradect@127.0.0.1:{port}/postgres"
        _await(dsn, server, folder / "log")
        yield dsn
    finally:
        server.send_signal(signal.SIGINT)  # without waiting for those that are still connected
        server.wait()
        log.close()
        shutil.rmtree(folder)


def _someone_else() -> dict[str, Any]:
    """PostgreSQL does not run as root."""
    if os.geteuid():
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return {"user": name, "group": pwd.getpwnam(name).pw_gid}


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_PLACES)))
    if found is None:
        raise SystemExit(f"{name} is not to be found; install PostgreSQL's server (Debian, Ubuntu: postgresql)")
    return found


def _await(dsn: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise SystemExit(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
