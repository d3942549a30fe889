"""The guard before outward requests: every way we know to write an address that is not public, refused both times."""

import asyncio
import ipaddress
import threading
from collections.abc import Sequence

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.adapters.outward import (
    Guard,
    GuardedBackend,
    GuardedSyncBackend,
    OutOfReach,
    guarded_client,
    is_allowed,
    system_resolve,
    target_of,
)
from fradect.errors import InvalidInput
from fradect.settings import Outward
from tests.factories_receiver import ON_LOOPBACK, Receiver, answer

PUBLIC = Outward()
OPEN = Outward(http=True, ports=(range(1, 65_536),))

# RELIABILITY: thirty forms and more. Each as a host; the resolver is the system's.
FORMS = {
    "loopback": "127.0.0.1",
    "loopback elsewhere": "127.8.9.1",
    "loopback by name": "localhost",
    "short": "127.1",
    "decimal": "2130706433",
    "octal": "0177.0.0.1",
    "hexadecimal": "0x7f.0.0.1",
    "hexadecimal in one": "0x7f000001",
    "this host": "0.0.0.0",  # noqa: S104
    "nothing": "0",
    "private a": "10.0.0.1",
    "private b": "172.16.0.1",
    "private c": "192.168.1.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata in decimal": "2852039166",
    "cgnat": "100.64.0.1",
    "metadata of another cloud": "100.100.100.200",
    "benchmarking": "198.18.0.1",
    "protocol assignments": "192.0.0.1",
    "6to4 relay": "192.88.99.1",
    "documentation": "203.0.113.7",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 loopback": "[::1]",
    "v6 unspecified": "[::]",
    "v4-mapped loopback": "[::ffff:127.0.0.1]",
    "v4-mapped in hexadecimal": "[::ffff:7f00:1]",
    "v4-mapped public": "[::ffff:8.8.8.8]",
    "v4-compatible": "[::127.0.0.1]",
    "nat64 of loopback": "[64:ff9b::7f00:1]",
    "nat64 of metadata": "[64:ff9b::169.254.169.254]",
    "local nat64": "[64:ff9b:1::a00:1]",
    "6to4 of loopback": "[2002:7f00:1::]",
    "6to4 of private": "[2002:a00:1::1]",
    "teredo": "[2001:0:53aa:64c::1]",
    "unique local": "[fd00::1]",
    "metadata over v6": "[fd00:ec2::254]",
    "v6 link-local": "[fe80::1]",
    "site-local": "[fec0::1]",
    "v6 multicast": "[ff02::1]",
    "v6 documentation": "[2001:db8::1]",
    "segment routing": "[5f00::1]",
}


@pytest.mark.parametrize("host", FORMS.values(), ids=FORMS)
def test_v5_0_ssrf_forms_are_refused_when_named_and_when_connected_to(host: str) -> None:
    guard = Guard(OPEN)

    async def connect() -> None:
        with pytest.raises(InvalidInput) as refused:
            await guard.check(f"https://{host}/", 5.0)
        assert refused.value.field == "url"
        with pytest.raises(OutOfReach):
            await GuardedBackend(guard).connect_tcp(host, 443, 5.0)

    asyncio.run(connect())
    with pytest.raises(OutOfReach):
        GuardedSyncBackend(guard, 5.0).connect_tcp(host, 443, 5.0)
    guard.close()


NOT_URLS = [
    "",
    "example.com",
    "//example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "https:///path",
    "https://",
    "http://example.com/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://example.com/#part",
    "https://example.com:22/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:x/",
    "https://exa mple.com/",
    "https://example.com/\r\nX: 1",
    "https://example.com/\x00",
    "https://ⓛocalhost/",
    "https://127。0。0。1/",
    "https://%6c%6f%63alhost/",
    "https://[fe80::1%25eth0]/",
    "https://[::1/",
    "https://::1/",
    "https://example.com/" + "x" * 2048,
]


@pytest.mark.parametrize("url", NOT_URLS)
def test_urls_that_are_not_called(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        target_of(url, PUBLIC)
    assert refused.value.field == "url"
    assert "secret" not in str(refused.value)


def test_a_url_is_sent_in_the_parts_that_were_checked() -> None:
    target = target_of("https://Example.com:8443/hooks;a=1?b=2&c=%20", PUBLIC)
    assert (target.scheme, target.host, target.port, target.path) == (
        "https",
        "example.com",
        8443,
        "/hooks;a=1?b=2&c=%20",
    )
    assert bytes(target_of("https://example.com", PUBLIC).url) == b"https://example.com/"
    assert bytes(target_of("https://[2606:4700::1111]/x", PUBLIC).url) == b"https://[2606:4700::1111]/x"


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public_here(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_allowed(str(ip), PUBLIC):
        assert ip.is_global
        assert not ip.is_multicast
        assert not ip.is_reserved


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_what_is_public_is_reached(address: str) -> None:
    assert is_allowed(address, PUBLIC)


def test_a_network_that_was_named_is_reached_and_no_other() -> None:
    assert is_allowed("127.0.0.1", ON_LOOPBACK)
    assert not is_allowed("10.0.0.1", ON_LOOPBACK)
    assert not is_allowed("::ffff:127.0.0.1", ON_LOOPBACK)


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    guard = Guard(PUBLIC, lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(OutOfReach):
        guard.addresses("example.com", 443)
    assert Guard(PUBLIC, lambda _host, _port: ["8.8.8.8"]).addresses("example.com", 443) == ["8.8.8.8"]
    with pytest.raises(OutOfReach):
        Guard(PUBLIC, lambda _host, _port: ["8.8.8.8"]).addresses("example.com", 22)
    with pytest.raises(OutOfReach):
        Guard(PUBLIC, lambda _host, _port: []).addresses("example.com", 443)


def test_a_name_that_means_something_else_a_moment_later_is_refused_then() -> None:
    answers: list[Sequence[str]] = [["8.8.8.8"], ["127.0.0.1"]]
    guard = Guard(OPEN, lambda _host, _port: answers.pop(0))

    async def rebind() -> None:
        await guard.check("https://rebind.example/", 1.0)
        with pytest.raises(OutOfReach):
            await GuardedBackend(guard).connect_tcp("rebind.example", 443, 1.0)

    asyncio.run(rebind())
    assert not answers, "each look was one question"
    guard.close()


def test_what_is_connected_to_is_the_address_that_was_checked() -> None:
    receiver, asked = Receiver(), list[str]()

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return system_resolve("127.0.0.1", port)

    guard = Guard(ON_LOOPBACK, resolve)
    with guarded_client(guard, 2.0) as client:
        assert client.get(f"http://hooks.example:{receiver.port}/").status_code == 200
    assert asked == ["hooks.example"]
    assert receiver.received[0].headers["Host"] == f"hooks.example:{receiver.port}"
    receiver.close()


def test_the_second_address_serves_when_the_first_does_not() -> None:
    receiver = Receiver()
    guard = Guard(ON_LOOPBACK, lambda _host, _port: ["127.0.0.2", "127.0.0.1"])

    async def connect() -> None:
        stream = await GuardedBackend(guard).connect_tcp("hooks.example", receiver.port, 2.0)
        await stream.aclose()

    asyncio.run(connect())
    GuardedSyncBackend(guard, 2.0).connect_tcp("hooks.example", receiver.port).close()
    receiver.close()
    guard.close()


def test_a_client_follows_nothing_and_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    receiver = Receiver(answer(301, "Location: http://169.254.169.254/"))
    guard = Guard(ON_LOOPBACK)
    with guarded_client(guard, 2.0) as client:
        assert client.get(receiver.url).status_code == 301
        with pytest.raises(OutOfReach):
            client.get("http://10.0.0.1/")
    assert len(receiver.received) == 1
    receiver.close()


def test_a_name_that_is_never_resolved_is_a_timeout_of_connecting() -> None:
    answered = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        answered.wait(5)
        return ["8.8.8.8"]

    guard = Guard(OPEN, resolve)

    async def connect() -> None:
        with pytest.raises(httpcore.ConnectTimeout):
            await GuardedBackend(guard).connect_tcp("slow.example", 443, 0.05)

    asyncio.run(connect())
    with pytest.raises(httpcore.ConnectTimeout):
        GuardedSyncBackend(guard, 0.05).connect_tcp("slow.example", 443)
    answered.set()
    guard.close()


def test_settings_are_read_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_OUTWARD_NETWORKS", "10.1.0.0/16, fd00::/8")
    monkeypatch.setenv("FRADECT_OUTWARD_PORTS", "443,9000-9001")
    monkeypatch.setenv("FRADECT_OUTWARD_HTTP", "true")
    outward = Outward.from_env()
    assert is_allowed("10.1.2.3", outward)
    assert target_of("http://a.example:9001/", outward).port == 9001
    for name, value in (
        ("FRADECT_OUTWARD_NETWORKS", "10.1.0.1/16"),
        ("FRADECT_OUTWARD_PORTS", "0"),
        ("FRADECT_OUTWARD_PORTS", "9-1"),
        ("FRADECT_OUTWARD_HTTP", "yes"),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(name, value)
            with pytest.raises(InvalidInput, match=name):
                Outward.from_env()


def test_httpx_is_only_as_private_as_we_rely_on() -> None:
    """The one private name of httpx that the guard replaces."""
    transport = httpx.HTTPTransport(trust_env=False)
    assert isinstance(transport._pool, httpcore.ConnectionPool)
    transport.close()
