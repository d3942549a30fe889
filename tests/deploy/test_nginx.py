"""nginx as it is shipped, in front of receivers that show what reached them and misbehave as they are told."""

import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from serving.problems import TITLES
from tests.factories_nginx import NAME, SHIPPED, Nginx, certify, program
from tests.factories_receiver import Receiver, answer, cut, hang

SCORE = "/api/v1/ecommerce/score"
KEY = "fdk_live_canarykey123_" + "k" * 43
TOKEN = "eyJcanarytoken.eyJ.sig"
CANARIES = (KEY, TOKEN, "canary@example.org", "+79991234567", "4111111111111111", "canarycookie")
LIMITED = """
limit_req_zone $binary_remote_addr zone=callers:1m rate=1r/s;
limit_req zone=callers burst=3 nodelay;
access_log access.log fradect;
"""


@pytest.fixture
def behind() -> Iterator[Receiver]:
    receiver = Receiver(answer(200, "X-Request-Id: req_of_the_service", body=b'{"decision":"APPROVE"}'))
    yield receiver
    receiver.close()


@pytest.fixture
def front(nginx: Callable[..., Nginx], behind: Receiver) -> Nginx:
    return nginx(behind.port)


def _is_problem(response: httpx.Response, status: int, kind: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == (f"urn:fradect:problem:{kind}", status)
    assert re.fullmatch("req_[0-9a-f]{16}", problem["request_id"])
    assert response.headers.get_list("x-request-id") == [problem["request_id"]]
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert response.headers["strict-transport-security"]
    assert response.headers["server"] == "nginx"


def test_what_is_shipped_is_valid_as_it_is(nginx_is_here: None, tmp_path: Path) -> None:
    for path in SHIPPED.glob("*.conf"):
        text = path.read_text().replace("/etc/fradect/tls/", "").replace("/var/log/nginx/", "")
        (tmp_path / path.name).write_text(text)
    certify(tmp_path)
    options = ["-e", "error.log", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", f"pid {tmp_path}/pid;"]
    tried = subprocess.run([str(program()), "-t", *options], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "warn" not in tried.stderr


def test_every_problem_of_nginx_is_of_a_published_type() -> None:
    text = (SHIPPED / "problems.conf").read_text()
    bodies = [json.loads(found) for found in re.findall(r"'(\{.*\})'", text)]
    page = (SHIPPED / "README.md").read_text()
    for problem in bodies:
        kind = problem["type"].removeprefix("urn:fradect:problem:")
        assert TITLES.get(kind) == problem["title"] or f"`{kind}`" in page
    assert {problem["status"] for problem in bodies} >= {400, 404, 413, 429, 502, 503, 504}


def test_v12_1_1_tls_is_of_today_and_nothing_older_is_spoken(front: Nginx) -> None:
    """ASVS 12.1.1: only the latest recommended versions of TLS are enabled."""
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = ssl.create_default_context(cafile=str(front.folder / "chain.pem"))
        context.minimum_version = context.maximum_version = version
        with front.connect(context) as connection:
            assert connection.version() == name
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.create_default_context(cafile=str(front.folder / "chain.pem"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.minimum_version = context.maximum_version = old
        with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
            front.connect(context)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "NULL", "ADH"])
def test_v12_1_2_weak_ciphers_are_refused(front: Nginx, ciphers: str) -> None:
    """ASVS 12.1.2: only recommended cipher suites are enabled; all of ours have forward secrecy."""
    context = ssl.create_default_context(cafile=str(front.folder / "chain.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        front.connect(context)


def test_an_answer_passes_through_over_http_1_and_2(front: Nginx, behind: Receiver) -> None:
    for http2 in (False, True):
        with front.client(http2=http2) as http:
            response = http.post(SCORE, json={"a": 1})
        assert (response.http_version, response.status_code) == ("HTTP/2" if http2 else "HTTP/1.1", 200)
        assert response.json() == {"decision": "APPROVE"}
        assert response.headers.get_list("x-request-id") == ["req_of_the_service"]
        assert response.headers["cache-control"] == "no-store"
        assert behind.received[-1].body == b'{"a":1}'


def test_v4_1_2_plain_http_is_refused_and_not_redirected(front: Nginx) -> None:
    """ASVS 4.1.2: a caller who forgets the s learns it at once, not after every key has gone in clear."""
    response = httpx.post(f"http://127.0.0.1:{front.port}{SCORE}", json={}, trust_env=False)
    _is_problem(response, 400, "malformed-request")


LIMITS = {SCORE: 64 * 1024, "/api/v1/batch/score": 512 * 1024, "/api/v1/decisions/dec_1/outcome": 64 * 1024}


@pytest.mark.parametrize("path", LIMITS)
def test_v15_2_2_a_body_over_the_limit_is_a_problem_and_reaches_nobody(
    front: Nginx, behind: Receiver, path: str
) -> None:
    with front.client() as http:
        assert http.post(path, content=b"x" * LIMITS[path]).status_code == 200
        _is_problem(http.post(path, content=b"x" * (LIMITS[path] + 1)), 413, "body-too-large")
    assert len(behind.received) == 1
    assert len(behind.received[0].body) == LIMITS[path]


def test_an_upload_is_passed_on_as_it_comes_and_never_lies_on_the_disk(front: Nginx, behind: Receiver) -> None:
    with front.client() as http:
        assert http.post("/api/v1/batch/uploads", content=b"x" * 3_000_000).status_code == 200
    assert len(behind.received[0].body) == 3_000_000
    assert not [path for path in front.folder.glob("*/**/*") if path.is_file()]


def test_a_head_that_trickles_in_is_given_up(nginx: Callable[..., Nginx], behind: Receiver) -> None:
    front = nginx(behind.port, changes={"client_header_timeout 5s;": "client_header_timeout 1s;"})
    with front.connect() as slow:
        begun = time.monotonic()
        slow.sendall(f"POST {SCORE} HTTP/1.1\r\nHost: x\r\n".encode())
        while time.monotonic() - begun < 10:
            try:
                slow.sendall(b"X")
                slow.settimeout(0.2)
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begun < 5
    assert not behind.received


def test_a_body_that_stops_coming_is_given_up(nginx: Callable[..., Nginx], behind: Receiver) -> None:
    front = nginx(behind.port, changes={"client_body_timeout 10s;": "client_body_timeout 1s;"})
    with front.connect() as slow:
        slow.sendall(f"POST {SCORE} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        begun = time.monotonic()
        with suppress(ConnectionError):  # a reset is a cut too
            assert not slow.recv(65_536).startswith(b"HTTP/1.1 200")
        assert 0.5 < time.monotonic() - begun < 5


def test_v2_4_1_more_than_the_rate_is_told_so(nginx: Callable[..., Nginx], behind: Receiver) -> None:
    front = nginx(behind.port, local=LIMITED)
    with front.client() as http:
        responses = [http.post(SCORE, json={}) for _ in range(8)]
    assert [response.status_code for response in responses[:4]] == [200] * 4
    limited = [response for response in responses if response.status_code == 429]
    assert limited
    for response in limited:
        _is_problem(response, 429, "rate-limited")
        assert response.headers.get_list("retry-after") == ["1"]
    assert len(behind.received) == len(responses) - len(limited)


def test_nobody_listening_is_503_or_502_with_when_to_ask_again(nginx: Callable[..., Nginx]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with nginx(port).client() as http:
        response = http.post(SCORE, json={})
    _is_problem(response, 502, "unavailable")
    assert response.headers.get_list("retry-after") == ["1"]


@pytest.mark.parametrize(("behaviour", "status"), [(cut, 502), (hang, 504)])
def test_v16_5_2_an_instance_that_breaks_off_is_a_problem_and_the_post_is_sent_once(
    nginx: Callable[..., Nginx], behaviour: Callable[[socket.socket], bool], status: int
) -> None:
    broken, other = Receiver(behaviour), Receiver(behaviour)
    front = nginx(broken.port, other.port, changes={"proxy_read_timeout 15s;": "proxy_read_timeout 1s;"})
    with front.client() as http:
        response = http.post(SCORE, json={}, headers={"Idempotency-Key": "k"})
        _is_problem(response, status, "unavailable")
        assert "same transaction_id" in response.json()["detail"]
        assert response.headers.get_list("retry-after") == ["1"]
        assert len(broken.received) + len(other.received) == 1, "it may have been decided"
        http.get("/api/v1/decisions/dec_1")
        assert len(broken.received) + len(other.received) == 3, "what only reads is asked of the other too"
    broken.close()
    other.close()


def test_a_problem_of_the_service_passes_unchanged(front: Nginx, behind: Receiver) -> None:
    said = b'{"type":"urn:fradect:problem:overloaded"}'
    headers = ("Content-Type: application/problem+json", "Retry-After: 7", "X-Request-Id: req_1")
    for status in (400, 404, 408, 413, 422, 429, 500, 503):
        behind.behave(answer(status, *headers, body=said))
        with front.client() as http:
            response = http.post(SCORE, json={})
        assert (response.status_code, response.content) == (status, said)
        assert response.headers.get_list("retry-after") == ["7"]
        assert response.headers.get_list("x-request-id") == ["req_1"]


SPOOFED = {
    "Host": "evil.example",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": "evil",
    "X-Real-IP": "203.0.113.9",
    "X-Request-Id": "req_evil",
    "X-Original-URL": "/metrics",
    "X-Rewrite-URL": "/metrics",
    "X-HTTP-Method-Override": "DELETE",
    "Forwarded": "for=203.0.113.9;host=evil.example",
    "Proxy": "http://evil.example",
    "Via": "1.1 evil",
    "Cookie": "evil=1",
    "TE": "trailers",
}


def test_v4_1_3_who_calls_is_what_nginx_saw_whatever_the_caller_says(front: Nginx, behind: Receiver) -> None:
    """ASVS 4.1.3: headers that an intermediary sets cannot be overridden by the caller."""
    kept = {"Authorization": f"Bearer {TOKEN}", "X-API-Key": KEY, "Idempotency-Key": "k1"}
    with front.client() as http:
        assert http.post(SCORE, json={}, headers=SPOOFED | kept).status_code == 200
    reached = {name.lower(): value for name, value in behind.received[0].headers.items()}
    assert not [value for value in reached.values() if "evil" in value or "203.0.113" in value]
    assert reached["host"] == reached["x-forwarded-host"] == NAME
    assert reached["x-forwarded-for"] == reached["x-real-ip"] == "127.0.0.1"
    assert (reached["x-forwarded-proto"], reached["x-forwarded-port"]) == ("https", str(front.port))
    assert re.fullmatch("req_[0-9a-f]{16}", reached["x-request-id"])
    assert {name: reached[name.lower()] for name in kept} == kept
    ours = {"host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"}
    gone = {name.lower() for name in SPOOFED} - ours - {"x-request-id"}
    assert not gone & set(reached)


HIDDEN = [
    "/metrics", "/ready", "/docs", "/livez", "/readyz", "/", "//metrics", "/metrics/", "/./metrics", "/%6detrics",
    "/api/../metrics", "/api/%2e%2e/metrics", "/api/..%2fmetrics", "/health/../metrics", "/api/v1/../../metrics",
    "/metrics?x=/api/", "/metrics#/api/", "/metrics%3f", "/METRICS", "/health/", "/healthz",
]  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN)
def test_v13_4_5_what_is_for_those_who_run_it_is_nowhere(front: Nginx, behind: Receiver, path: str) -> None:
    with front.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while more := connection.recv(65_536):
            said += more
    assert said.startswith(b"HTTP/1.1 404")
    assert b"urn:fradect:problem:not-found" in said
    assert not behind.received


SMUGGLED = {
    "two lengths": "Content-Length: 2\r\nContent-Length: 40",
    "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "chunks and more": "Transfer-Encoding: chunked, identity",
    "a sign": "Content-Length: +2",
    "no number": "Content-Length: 2, 2",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_v4_2_1_a_request_that_can_be_read_in_two_ways_is_not_passed_on(
    front: Nginx, behind: Receiver, name: str
) -> None:
    """ASVS 4.2.1: no request hides behind another."""
    hidden = "0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with front.connect() as connection:
        head = f"POST {SCORE} HTTP/1.1\r\nHost: {NAME}\r\n{SMUGGLED[name]}\r\n\r\n"
        connection.sendall((head + hidden).encode())
        said = connection.recv(65_536)
    assert said.split(b" ")[1] in (b"400", b"501"), said
    assert b"Server: nginx" in said
    assert not [one for one in behind.received if one.path == "/metrics"]
    assert not behind.received


def test_v16_2_5_the_logs_hold_no_secret_and_no_person(nginx: Callable[..., Nginx], behind: Receiver) -> None:
    """ASVS 16.2.5: of keys and personal data nothing is logged, whatever goes wrong."""
    front = nginx(behind.port, local=LIMITED.replace("burst=3", "burst=30"))
    query = "?email=canary@example.org&phone=%2B79991234567&pan=4111111111111111&next=+79991234567"
    headers = {
        "X-API-Key": KEY,
        "Authorization": f"Bearer {TOKEN}",
        "User-Agent": "canary@example.org",
        "Referer": "https://x/?4111111111111111",
        "Cookie": "canarycookie=1",
        "X-Request-Id": "canary@example.org",
    }
    personal = b'{"email":"canary@example.org","phone":"+79991234567","card":"4111111111111111"}'
    with front.client(headers=headers) as http:
        http.post(SCORE + query, content=personal)
        http.get("/api/v1/customers/canary@example.org/risk-profile" + query)
        http.delete("/api/v1/customers/4111111111111111" + query)
        http.get("/canary@example.org" + query)
        http.get("/api/v1/decisions/canary@example.org" + query)
        http.get("/api/v1/decisions/dec_0123456789abc/" + query)
        http.post(SCORE + query, content=personal * 2000)
        behind.behave(cut)
        http.post(SCORE + query, content=personal)
        behind.close()
        http.post(SCORE + query, content=personal)
        for _ in range(40):
            last = http.get("/api/v1/decisions" + query)
    assert last.status_code == 429
    lines = front.logged(49)
    raw = "".join((front.folder / name).read_text() for name in ("access.log", "error.log"))
    assert not [canary for canary in CANARIES if canary in raw or canary.removeprefix("+") in raw]
    routes = [line["route"] for line in lines[:6]]
    assert routes == [SCORE, "/api/v1/customers/{id}/risk-profile", "/api/v1/customers/{id}", "other", "other", "other"]
    first = lines[0]
    assert (first["status"], first["instance_status"], first["request_id"]) == (200, "200", "req_of_the_service")
    assert {line["status"] for line in lines} >= {200, 404, 413, 502, 429}
    assert all(line["request_id"].startswith("req_") for line in lines)


def test_v16_4_1_one_line_an_event_whatever_is_in_it(front: Nginx) -> None:
    """ASVS 16.4.1: what is logged cannot be made to look like a line of its own."""
    odd = ('/api/v1/%0a%22%7d%0d{"status":200}', "/%1b[31m", "/%ff%fe", '/"},{"a":"', "/%e2%80%ae")
    for path in odd:
        with front.connect() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            connection.recv(65_536)
    assert [line["route"] for line in front.logged(len(odd))] == ["other"] * len(odd)
