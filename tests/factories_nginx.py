"""A real nginx with the configuration that is shipped, on loopback, with a certificate of its own."""

import datetime
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fradect.settings import PROJECT

SHIPPED = PROJECT / "deploy" / "nginx"
NAME = "api.test.example"
LOCAL = """
limit_req_zone $binary_remote_addr zone=callers:1m rate=5000r/s;
limit_req zone=callers burst=5000 nodelay;
limit_conn_zone $binary_remote_addr zone=connections:1m;
limit_conn connections 200;
access_log access.log fradect;
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program() -> str | None:
    """Where nginx is; Debian keeps it off an ordinary user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx:
    """One server over instances on these ports. `changes`: texts of nginx.conf and what stands there instead."""

    def __init__(
        self, folder: Path, instances: Sequence[int], local: str = LOCAL, changes: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"https://127.0.0.1:{self.port}"
        certify(folder)
        self._write(instances, local, changes or {})
        self.trust = ssl.create_default_context(cafile=str(folder / "chain.pem"))
        self._process = subprocess.Popen(self.command())
        self._until_it_listens()

    def _write(self, instances: Sequence[int], local: str, changes: Mapping[str, str]) -> None:
        text = (SHIPPED / "nginx.conf").read_text().replace("/var/log/nginx/error.log", "error.log")
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.folder / "nginx.conf").write_text(text)
        shutil.copy(SHIPPED / "problems.conf", self.folder)
        paths = "".join(f"{name}_temp_path {name};\n" for name in _TEMPORARY)
        (self.folder / "local.conf").write_text(local + paths)
        lines = [f"server 127.0.0.1:{port} max_fails=3 fail_timeout=5s;\n" for port in instances]
        (self.folder / "instances.conf").write_text("".join(lines))
        listen = f"listen 127.0.0.1:{self.port} ssl http2;\nserver_name {NAME};\n"
        (self.folder / "site.conf").write_text(f"{listen}ssl_certificate chain.pem;\nssl_certificate_key key.pem;\n")

    def command(self) -> list[str]:
        found = program()
        assert found is not None
        options = f"daemon off; pid {self.folder}/pid;"
        return [found, "-e", "error.log", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", options]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, trust_env=False, timeout=20, **options)

    def connect(self, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        try:
            return (trust or self.trust).wrap_socket(plain, server_hostname=NAME)
        except BaseException:
            plain.close()
            raise

    def logged(self, at_least: int = 1) -> list[dict[str, Any]]:
        """Lines of the access log, once there are so many: they are written after the answer has left."""
        path, deadline = self.folder / "access.log", time.monotonic() + 5
        while len(lines := path.read_text().splitlines()) < at_least:
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)
        return [json.loads(line) for line in lines]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _until_it_listens(self) -> None:
        for _ in range(200):
            assert self._process.poll() is None, (self.folder / "error.log").read_text()
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nginx did not answer within ten seconds")


def certify(folder: Path) -> None:
    """chain.pem and key.pem, good for a day."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, SHA256())
    )
    (folder / "chain.pem").write_bytes(made.public_bytes(Encoding.PEM))
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(clear)
