"""Keys that are fetched: from real servers that behave, and from real servers that do not."""

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fradect.adapters import jwks_url
from fradect.adapters.issuers import read_issuers
from fradect.adapters.jwks_url import AGAIN_SECONDS, FRESH_SECONDS, KEPT_SECONDS, JwksUrl
from fradect.adapters.tokens import JwtTokens
from fradect.errors import InvalidInput, Unavailable
from fradect.settings import Outward
from tests.adapters.test_outward import FORMS
from tests.factories_receiver import ON_LOOPBACK
from tests.factories_tokens import ISSUER, KID, RSA, STRANGER, declare, jwks, token

IN_HOUSE = ["127.0.0.0/8"]
Respond = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """Answers as it is told, and counts."""

    asked = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond: Respond = body(jwks((KID, RSA)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jwks"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        try:
            self.server.respond(self)
        except OSError:
            self.close_connection = True  # the other end had enough

    def log_message(self, *_: object) -> None:
        pass


def body(raw: bytes, status: int = 200, **headers: str) -> Respond:
    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(raw)

    return respond


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    body(b"")(handler)
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.02)


def drip_headers(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def hang(_handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def at() -> list[float]:
    return [time.time()]


def _source(server: Server, folder: Path, at: list[float]) -> JwksUrl:
    return JwksUrl(server.url, "RS256", folder, ON_LOOPBACK, lambda: at[0])


def test_keys_are_fetched_beside_requests_and_seldom(server: Server, tmp_path: Path, at: list[float]) -> None:
    source = _source(server, tmp_path, at)
    assert source.keys == {}
    assert source.refresh()
    assert list(source.keys) == [KID]
    assert not source.refresh()
    at[0] += FRESH_SECONDS + 1
    assert not source.refresh()  # asked again, and nothing changed
    assert server.asked == 2


def test_an_unknown_name_has_them_fetched_soon_but_not_at_every_request(
    server: Server, tmp_path: Path, at: list[float]
) -> None:
    source = _source(server, tmp_path, at)
    source.refresh()
    server.respond = body(jwks(("next", STRANGER)))
    for _ in range(5):
        source.miss()
        source.refresh()
    assert server.asked == 1
    at[0] += AGAIN_SECONDS + 1
    assert source.refresh()
    assert list(source.keys) == ["next"]


BAD = {
    "an error": body(b"no", 500),
    "a redirect": body(b"", 302, Location="http://169.254.169.254/"),
    "another success": body(jwks((KID, STRANGER)), 203),
    "no JSON": body(b"<html>"),
    "no keys": body(b'{"keys": []}'),
    "a private key": body(b'{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}'),
    "too much": body(b'{"keys": [' + b" " * 300_000),
    "compressed": body(b"\x1f\x8b", content_encoding="gzip"),
    "cut short": body(b'{"keys"', content_length="500"),
    "drop by drop": drip,
    "headers drop by drop": drip_headers,
    "never": hang,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_goes_wrong_leaves_the_last_good_keys(
    server: Server, tmp_path: Path, at: list[float], bad: Respond, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks_url, "SECONDS", 0.3)
    source = _source(server, tmp_path, at)
    source.refresh()
    server.respond = bad
    at[0] += FRESH_SECONDS + 1
    assert not source.refresh()
    assert list(source.keys) == [KID]
    assert server.asked == 2  # no redirect was followed


def test_the_last_good_keys_survive_a_restart_and_end_after_a_day(
    server: Server, tmp_path: Path, at: list[float]
) -> None:
    _source(server, tmp_path, at).refresh()
    server.respond = body(b"", 503)
    source = _source(server, tmp_path, at)
    assert list(source.keys) == [KID]
    at[0] += KEPT_SECONDS + 1
    assert source.refresh()
    assert source.keys == {}
    assert _source(server, tmp_path, at).keys == {}


def test_a_clock_that_is_set_back_does_not_stop_fetching(server: Server, tmp_path: Path, at: list[float]) -> None:
    source = _source(server, tmp_path, at)
    source.refresh()
    at[0] -= 86_400
    source.refresh()
    assert server.asked == 2


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="ConnectError"):
        jwks_url.fetch("http://127.0.0.1:9/jwks", ON_LOOPBACK)


def test_a_server_that_says_a_little_ever_and_again_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its signs comes in time; all of them would take two seconds."""
    monkeypatch.setattr(jwks_url, "SECONDS", 0.3)
    server.respond = drip_headers
    with pytest.raises(Unavailable, match="ReadTimeout"):
        jwks_url.fetch(server.url, ON_LOOPBACK)


@pytest.mark.parametrize("host", FORMS.values(), ids=FORMS)
def test_v5_0_ssrf_forms_are_refused_when_declared_and_when_fetched(host: str, tmp_path: Path) -> None:
    path = declare(tmp_path, keys=f"https://{host}/jwks")
    with pytest.raises(InvalidInput, match="not public"):
        read_issuers(path, tmp_path, {})
    with pytest.raises(Unavailable, match=r"not public; a private network is named in `networks`|InvalidURL"):
        jwks_url.fetch(f"https://{host}/jwks", Outward())


def test_a_name_is_judged_by_where_it_leads_and_again_when_it_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = declare(tmp_path, keys=f"https://keys.example:{server.server_port}/jwks")
    with pytest.raises(InvalidInput, match="not public"):
        read_issuers(path, tmp_path, {}, lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    found = read_issuers(path, tmp_path, {}, lambda _host, _port: ["8.8.8.8"])
    source = found[ISSUER].source
    assert source is not None
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", server.server_port))])
    assert not source.refresh()
    assert server.asked == 0


def test_a_name_without_an_address_is_not_refused_yet(tmp_path: Path) -> None:
    def nobody(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    assert read_issuers(declare(tmp_path, keys="https://keys.example/jwks"), tmp_path, {}, nobody)[ISSUER].keys == {}


def test_an_identity_provider_in_house_is_named_on_purpose(server: Server, tmp_path: Path) -> None:
    """Neither what webhooks may reach nor another network opens it."""
    with pytest.raises(InvalidInput, match="name its network in `networks`"):
        read_issuers(declare(tmp_path, keys=server.url), tmp_path, {})
    with pytest.raises(InvalidInput, match="name its network in `networks`"):
        read_issuers(declare(tmp_path, keys=server.url, networks=["10.0.0.0/8"]), tmp_path, {})
    with pytest.raises(InvalidInput, match="give networks like"):
        read_issuers(declare(tmp_path, keys=server.url, networks=["127.0.0.1/8"]), tmp_path, {})
    with pytest.raises(InvalidInput, match="a file needs none"):
        read_issuers(declare(tmp_path, networks=IN_HOUSE), tmp_path, {})
    found = read_issuers(declare(tmp_path, keys=server.url, networks=IN_HOUSE), tmp_path, {})
    source = found[ISSUER].source
    assert source is not None
    assert source.refresh()


def test_a_network_that_is_no_longer_named_counts_at_once(server: Server, tmp_path: Path) -> None:
    one = declare(tmp_path, keys=server.url, networks=IN_HOUSE)
    before = read_issuers(one, tmp_path / "cache", {})
    two = declare(tmp_path, keys=server.url, networks=["127.0.0.1/32"])
    after = read_issuers(two, tmp_path / "cache", before)
    assert after[ISSUER].source is not before[ISSUER].source
    assert read_issuers(two, tmp_path / "cache", after)[ISSUER].source is after[ISSUER].source


def test_tokens_follow_the_keys_at_a_url(server: Server, tmp_path: Path) -> None:
    found = JwtTokens(declare(tmp_path, keys=server.url, networks=IN_HOUSE), tmp_path / "cache")
    assert found.find(token()) is None  # nothing was fetched yet, and no request waits for it
    assert server.asked == 0
    found.follow()
    good = token()
    assert found.find(good) is not None
    assert found.find(token(headers={"kid": "unknown"})) is None
    server.respond = body(jwks((KID, STRANGER)))
    (issuer,) = found._known.issuers.values()
    assert issuer.source is not None
    issuer.source._tried = 0.0
    found.follow()
    assert found.find(good) is None


def test_an_issuer_that_keeps_its_url_keeps_what_was_fetched(server: Server, tmp_path: Path) -> None:
    found = JwtTokens(declare(tmp_path, keys=server.url, networks=IN_HOUSE), tmp_path / "cache")
    found.follow()
    declare(tmp_path, keys=server.url, networks=IN_HOUSE, leeway_seconds=5)
    found.follow()
    assert server.asked == 1
    assert found.find(token()) is not None
