"""One contract, held by both stores; and how S3 fails."""

import io
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fradect.adapters import objects_s3
from fradect.adapters.mirror import Mirror
from fradect.adapters.object_stores import open_store
from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.objects_s3 import S3Objects
from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused, Unavailable
from fradect.objects import ObjectStore, S3Url, shown
from fradect.settings import S3Access
from tests.factories_s3 import SECRET, Answer, S3Server, refusal


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    server: S3Server = request.getfixturevalue("s3")
    return server.store()


def test_what_is_put_is_read_listed_and_deleted(store: ObjectStore) -> None:
    store.upload("a/b c+ü~'(1).json", io.BytesIO(b"content"))
    store.upload("a-b", io.BytesIO(b""))
    assert [(facts.key, facts.size) for facts in store.list("")] == [("a-b", 0), ("a/b c+ü~'(1).json", 7)]
    assert [facts.key for facts in store.list("a/")] == ["a/b c+ü~'(1).json"]
    content = store.read("a/b c+ü~'(1).json")
    assert content is not None
    assert content.raw == b"content"
    assert content.version == next(iter(store.list("a/"))).version
    store.delete("a-b")
    store.delete("a-b")
    assert store.read("a-b") is None
    assert not list(store.list("b"))


def test_a_file_goes_there_and_back(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "PART", 5 << 20)
    for size in (0, 1, 5 << 20, (10 << 20) + 7):  # nothing, one part, exactly one, three
        raw = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
        store.upload("file", io.BytesIO(raw[:size]))
        store.download("file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == raw[:size]
    with pytest.raises(NotFound):
        store.download("other", tmp_path / "back")


def test_the_parts_of_an_upload_that_fails_are_taken_back(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "PART", 5 << 20)
    store = s3.store()

    def full(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        return refusal("507 Full", "StorageFull") if "partNumber=2" in environ["QUERY_STRING"] else ask()

    s3.alter = full
    with pytest.raises(Unavailable, match="507 StorageFull"):
        store.upload("file", io.BytesIO(bytes(11 << 20)))
    assert s3.asked[-1][0] == "DELETE"
    s3.mend()
    assert not list(store.list(""))


def test_a_server_may_pause_while_it_takes_a_content(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "CONNECT", 0.1)
    store = s3.store()

    def pausing(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        time.sleep(0.5)
        return ask()

    s3.alter = pausing
    store.upload("file", io.BytesIO(bytes(15 << 20)))
    assert [method for method, _ in s3.asked[1:]] == ["PUT"]


def test_a_version_is_replaced_once(store: ObjectStore) -> None:
    first = store.put("pointer", b"1", None)
    with pytest.raises(Conflict):
        store.put("pointer", b"2", None)
    second = store.put("pointer", b"2", first)
    with pytest.raises(Conflict):
        store.put("pointer", b"3", first)
    with pytest.raises(Conflict):
        store.put("absent", b"3", first)
    assert store.put("pointer", b"2", first) == second  # an answer that was lost is asked for again
    content = store.read("pointer")
    assert content is not None
    assert (content.raw, content.version) == (b"2", second)


def test_of_many_writers_one_succeeds(store: ObjectStore) -> None:
    def write(number: int) -> bool:
        try:
            store.put("pointer", str(number).encode(), None)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 1


def test_a_store_that_ignores_conditions_is_not_written_to(s3: S3Server, tmp_path: Path) -> None:
    def without_conditions(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        environ.pop("HTTP_IF_MATCH", None)
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return ask()

    mirror = Mirror(tmp_path, s3.store())
    mirror.prove()
    s3.alter = without_conditions
    with pytest.raises(Refused, match="ignores the conditions"):
        Mirror(tmp_path, mirror.store).prove()


def test_a_lost_answer_is_no_conflict(s3: S3Server) -> None:
    store = s3.store()
    lost = [True]

    def lose_one(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        if environ["REQUEST_METHOD"] == "PUT" and lost:
            lost.clear()
            raise ConnectionError
        return answer

    s3.alter = lose_one
    version = store.put("pointer", b"1", None)
    content = store.read("pointer")
    assert content is not None
    assert content.version == version


def test_a_download_that_breaks_off_goes_on_where_it_was(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store()
    raw = bytes(range(256)) * 40_000
    store.upload("file", io.BytesIO(raw))
    ranges: list[str | None] = []

    def half(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        ranges.append(environ.get("HTTP_RANGE"))
        status, headers, body = ask()
        return status, [*headers, ("connection", "close")], body[: len(body) // 2] if len(ranges) < 3 else body

    s3.alter = half
    store.download("file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == raw
    assert ranges[0] is None
    assert ranges[1] is not None
    assert len(ranges) == 3


def test_an_object_that_changes_while_it_is_read_is_not_mixed(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store()
    store.upload("file", io.BytesIO(b"old" * 1_000_000))
    asked: list[str | None] = []

    def half_then_another(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        asked.append(environ.get("HTTP_IF_MATCH"))
        if len(asked) > 1:
            environ["HTTP_IF_MATCH"] = '"of the one before"'
        status, headers, body = ask()
        return status, [*headers, ("connection", "close")], body[: len(body) // 2] if len(asked) == 1 else body

    s3.alter = half_then_another
    with pytest.raises(Conflict):
        store.download("file", tmp_path / "back")
    assert asked[0] is None
    assert asked[1] is not None


def test_errors_say_what_is_wrong_and_hold_no_secret(s3: S3Server) -> None:
    cases: list[tuple[Answer, type[FradectError], str]] = [
        (refusal("403 Forbidden", "AccessDenied"), Refused, r"denies GET \(AccessDenied\).*AWS_SECRET_ACCESS_KEY"),
        (refusal("403 Forbidden", "RequestTimeTooSkewed"), Refused, "set the clock"),
        (
            refusal("301 Moved", "PermanentRedirect", ("x-amz-bucket-region", "eu-west-3"), ("location", "http://x")),
            InvalidInput,
            "AWS_REGION=eu-west-3",
        ),
        (refusal("301 Moved", "PermanentRedirect", ("location", "http://127.0.0.1:9/")), InvalidInput, "AWS_REGION$"),
        (refusal("307 Moved", "Moved", ("x-amz-bucket-region", "h/?")), InvalidInput, "AWS_REGION$"),
        (refusal("418 Teapot", "Tea"), Refused, "answers GET with 418 Tea"),
        (("200 OK", [("content-length", "5")], b"hello"), Refused, "does not answer like S3"),
        (("200 OK", [("content-length", "7")], b"<html/>"), Refused, "does not answer like S3"),
        (refusal("503 Slow Down", "SlowDown"), Unavailable, "503 SlowDown"),
    ]
    store = s3.store()
    for answer, kind, words in cases:
        s3.alter = lambda _environ, _ask, answer=answer: answer
        s3.asked.clear()
        with pytest.raises(kind, match=words) as caught:
            list(store.list(""))
        assert SECRET not in str(caught.value)
        assert len(s3.asked) == (3 if kind is Unavailable else 1)  # no redirect is followed
    s3.mend()
    for ask in (lambda: list(s3.store("no-such-bucket").list("")), lambda: s3.store("no-such-bucket").read("x")):
        with pytest.raises(NotFound, match=f"s3://no-such-bucket: there is no such bucket at {s3.url}"):
            ask()
    assert SECRET not in repr(s3.access)


def test_an_answer_without_a_version_is_no_s3s(s3: S3Server) -> None:
    s3.alter = lambda _environ, _ask: ("200 OK", [("content-length", "2")], b"{}")
    with pytest.raises(Refused, match="does not answer like S3"):
        s3.store("bucket").read("manifest.json")


def test_a_key_that_a_url_would_shorten_is_refused(s3: S3Server) -> None:
    with pytest.raises(InvalidInput, match=r"'\.\.'"):
        s3.store("bucket").read("a/../b")
    assert s3.asked == []


def test_who_asks_comes_from_our_settings_alone(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = x\nregion = eu-west-9\n")
    elsewhere = {"CONFIG_FILE": str(config), "PROFILE": "absent", "ENDPOINT_URL": "http://127.0.0.1:9"}
    elsewhere |= {"CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9", "MAX_ATTEMPTS": "9", "DEFAULTS_MODE": "auto"}
    for name, value in elsewhere.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    signed: list[str] = []

    def note(environ: dict[str, Any], ask: Callable[[], Answer]) -> Answer:
        signed.append(environ.get("HTTP_AUTHORIZATION", ""))
        return ask()

    s3.alter = note
    with caplog.at_level("DEBUG"):
        S3Objects(S3Url("bucket", ""), S3Access(s3.url, "eu-west-3", "AKIATEST", SECRET, "token-" + SECRET)).delete("x")
    assert "Credential=AKIATEST/" in signed[0]
    assert "/eu-west-3/s3/" in signed[0]
    assert SECRET not in caplog.text
    S3Objects(S3Url("bucket", ""), S3Access(endpoint=s3.url)).delete("x")
    assert signed[1:] == [""]


def test_unsigned_requests_that_are_denied_say_so(s3: S3Server) -> None:
    s3.alter = lambda _environ, _ask: refusal("403 Forbidden", "AccessDenied")
    store = S3Objects(S3Url("bucket", ""), S3Access(endpoint=s3.url))
    with pytest.raises(Refused, match="not signed: set AWS_ACCESS_KEY_ID"):
        list(store.list(""))


def test_an_endpoint_that_is_away_is_told_within_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        started = time.perf_counter()
        with pytest.raises(Unavailable, match=f"{url} cannot be reached"):
            S3Objects(S3Url("bucket", ""), S3Access(endpoint=url)).read("x")
        assert time.perf_counter() - started < 10


def test_an_endpoint_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "SILENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = S3Objects(S3Url("bucket", ""), S3Access(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(Unavailable, match="cannot be reached"):
            store.read("x")


@pytest.mark.parametrize(
    "url", ["s3://", "s3://B", "s3://u:pw@bucket/x", "s3://bucket/a/../b", "s3://bucket/a//b", "gs://b"]
)
def test_a_url_that_cannot_be_is_told_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(url, S3Access())
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["minio:9000", "ftp://h", "http://u:pw@h", "http://h/path", "http://h?x", "http://", "http://h:9\r\nx: y"],
)
def test_an_endpoint_is_a_scheme_and_a_host(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="FRADECT_S3_ENDPOINT") as caught:
        open_store("s3://bucket", S3Access(endpoint=endpoint))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (S3Access(key_id="only"), "go together"),
        (S3Access(region="no region"), "AWS_REGION"),
        (S3Access(ca_bundle="/absent.pem"), "AWS_CA_BUNDLE"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(access: S3Access, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        open_store("s3://bucket", access)


def test_a_path_and_a_file_url_are_folders(tmp_path: Path) -> None:
    assert open_store(str(tmp_path / "a b"), S3Access()).url == open_store((tmp_path / "a b").as_uri(), S3Access()).url
    assert shown("https://user:secret@host/x") == "https://host/x"


def test_amazons_own_endpoint_has_the_bucket_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # read by our settings, never by the client itself
    assert "https://bucket.s3.eu-west-3.amazonaws.com" in open_store("s3://bucket/x", S3Access(region="eu-west-3")).url
    assert "https://s3.eu-west-3.amazonaws.com" in open_store("s3://dotted.bucket", S3Access(region="eu-west-3")).url


@pytest.fixture(autouse=True)
def _at_once_and_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
