"""A real PostgreSQL for tests, synced to disk, that can be stopped, killed and frozen."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

PASSWORD = "s3cret-of-tests"
_ACCOUNTS = ("postgres", "nobody")


def binaries() -> Path | None:
    """Where `postgres` and `initdb` are."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: float(p.parts[-3]))
    return versions[-1].parent if versions else None


def _account() -> str | None:
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _ACCOUNTS if name in names)


class PostgresServer:
    """One server in a folder of its own; `settings` as in postgresql.conf."""

    def __init__(self, bin_dir: Path, folder: Path | None = None, **settings: str) -> None:
        self._bin = bin_dir
        self.folder = folder or Path(tempfile.mkdtemp(prefix="fradect-pg-"))
        self.folder.mkdir(exist_ok=True)
        self._account = _account()
        if self._account is not None:
            shutil.chown(self.folder, self._account)
        self.folder.chmod(0o700)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "fsync": "on",
        } | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-E", "UTF8", "--locale=C", "-U", "fradect")
        self.start()

    def start(self) -> None:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._account, extra_groups=self._groups(), stdout=log, stderr=log, cwd=self.folder
            )
        self._until_it_answers()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://fradect:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def stop(self) -> None:
        """In good order, but without waiting for anybody."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a power cut would: every process of the server at once."""
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def has_ended(self) -> bool:
        """Whether it gave up by itself, within two seconds."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return self._process.poll() is not None

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._end(signal.SIGQUIT)  # at once: nothing of it is kept
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=fradect dbname=postgres connect_timeout=2"

    def _groups(self) -> list[int] | None:
        return None if self._account is None else [pwd.getpwnam(self._account).pw_gid]

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(
            command, user=self._account, extra_groups=self._groups(), capture_output=True, cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    def _children(self) -> list[int]:
        assert self._process is not None
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in [self._process.pid, *self._children()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    def _until_it_answers(self) -> None:
        assert self._process is not None
        for _ in range(200):
            try:
                psycopg.connect(self._conninfo).close()
                return
            except psycopg.OperationalError:
                said = (self.folder / "server.log").read_text()
                assert self._process.poll() is None, f"postgres ended with {self._process.returncode}: {said}"
                time.sleep(0.05)
        raise AssertionError("postgres did not answer within ten seconds")
