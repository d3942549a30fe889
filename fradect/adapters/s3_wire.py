"""Requests to an S3 bucket: signed, tried again when that may help, and answered within seconds either way."""

import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from xml.etree import ElementTree as ET

import httpx

from fradect.adapters.s3_signing import Signable, Signer, path_of, query_of
from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused, Unavailable
from fradect.objects import shown
from fradect.settings import S3Access

ATTEMPTS = 3
PAUSE = 0.3  # seconds before the second try, four times that before the third
CONNECT = 2.0  # seconds
EMPTY = hashlib.sha256(b"").hexdigest()
_TRY_AGAIN = (409, 429, 500, 502, 503, 504)
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-fA-F:.]+\](:\d{1,5})?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `key`: of the object, None for the bucket itself; `patience`: seconds of silence that are borne."""

    method: str
    key: str | None = None
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    patience: float = 10.0


class Wire:
    """Speaks to one bucket. Redirects are not followed, so a signature reaches nobody but the endpoint named."""

    def __init__(self, bucket: str, access: S3Access) -> None:
        """InvalidInput for an endpoint or credentials that cannot be right; nothing is asked yet."""
        self.bucket = bucket
        self.endpoint, self._root = _address(bucket, access)
        self._signer = _signer(access)
        verify = ssl.create_default_context(cafile=access.ca_bundle) if access.ca_bundle else True
        self._client = httpx.Client(verify=verify, follow_redirects=False)

    def send(self, ask: Ask, *fine: int) -> httpx.Response:
        """The answer, read; anything but 2xx and `fine` is raised as what it means."""

        def once() -> httpx.Response:
            answer = self._client.send(self._request(ask))
            self._check(answer, ask, fine)
            return answer

        return self._patiently(once)

    @contextmanager
    def receive(self, ask: Ask) -> Iterator[httpx.Response]:
        """The answer, its body still on the way; breaking off there raises Unavailable."""

        def once() -> httpx.Response:
            answer = self._client.send(self._request(ask), stream=True)
            if answer.status_code >= 300:
                answer.read()
            self._check(answer, ask, ())
            return answer

        answer = self._patiently(once)
        try:
            yield answer
        except httpx.HTTPError as error:
            raise self._away(error) from error
        finally:
            answer.close()

    def _patiently(self, once: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 4 ** (attempt - 1))
            try:
                return once()
            except (httpx.HTTPError, Unavailable) as error:
                last = error
        raise last if isinstance(last, Unavailable) else self._away(last) from last

    def _request(self, ask: Ask) -> httpx.Request:
        path, query = self._root + path_of(ask.key or "")[1:], query_of(ask.query)
        if ask.key and any(part in (".", "..") for part in ask.key.split("/")):
            raise InvalidInput(f"s3://{self.bucket}: a key with '.' or '..' between slashes cannot be asked for")
        host = self.endpoint.partition("://")[2]
        headers = {"host": host, "accept-encoding": "identity", **ask.headers}
        if self._signer is not None:
            payload = hashlib.sha256(ask.body).hexdigest() if ask.body else EMPTY
            headers = self._signer.headers(Signable(ask.method, path, query, headers, payload), datetime.now(UTC))
        url = httpx.URL(f"{self.endpoint}{path}?{query}" if query else f"{self.endpoint}{path}")
        timeout = httpx.Timeout(ask.patience, connect=CONNECT)
        return self._client.build_request(ask.method, url, headers=headers, content=ask.body, timeout=timeout)

    def _check(self, answer: httpx.Response, ask: Ask, fine: Sequence[int]) -> None:
        status = answer.status_code
        if 200 <= status < 300 or status in fine:
            return
        code = _code(answer)
        if status in _TRY_AGAIN and code != "NoSuchBucket":
            raise Unavailable(f"{self._where(ask)}: {self.endpoint} answers {status} {code}; try again later".strip())
        raise self._meaning(answer, ask, code)

    def _meaning(self, answer: httpx.Response, ask: Ask, code: str) -> FradectError:
        status, where = answer.status_code, self._where(ask)
        region = answer.headers.get("x-amz-bucket-region", "")
        if code == "NoSuchBucket":
            return NotFound(f"s3://{self.bucket}: there is no such bucket at {self.endpoint}")
        if status == 404 and ask.key is not None:
            return NotFound(f"{where}: there is no such object")
        if status == 412:
            return Conflict(f"{where}: somebody else has written it meanwhile")
        if status in (301, 307, 400) and (region or "Redirect" in code or code == "AuthorizationHeaderMalformed"):
            named = f"={region}" if _REGION.fullmatch(region) else ""
            return InvalidInput(f"s3://{self.bucket} is in another region: set AWS_REGION{named}")
        return Refused(f"{where}: {self.endpoint} {self._refusal(status, ask.method, code)}")

    def _refusal(self, status: int, method: str, code: str) -> str:
        if code == "RequestTimeTooSkewed":
            return "has another time than this machine: set the clock"
        if status in (401, 403):
            verb = "check" if self._signer else "requests are not signed: set"
            remedy = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
            return f"denies {method} ({code or status}); {verb} {remedy}"
        return f"answers {method} with {status} {code}".rstrip()

    def _where(self, ask: Ask) -> str:
        return f"s3://{self.bucket}/{ask.key or ''}".rstrip("/")

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"s3://{self.bucket}: {self.endpoint} cannot be reached ({type(error).__name__}): "
            "check FRADECT_S3_ENDPOINT and the network, then try again"
        )


def parsed(answer: httpx.Response) -> ET.Element:
    """An answer's XML, names without their namespace; Refused when it is none."""
    try:
        root = ET.fromstring(answer.content)  # noqa: S314  expat bounds how far entities may grow
    except ET.ParseError as error:
        raise Refused(f"{answer.request.url.host} does not answer like S3: check FRADECT_S3_ENDPOINT") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _code(answer: httpx.Response) -> str:
    """S3's name of the error; empty when the answer has none, or something that is no name."""
    try:
        code = parsed(answer).findtext("Code") or ""
    except Refused:
        return ""
    return code if _CODE.fullmatch(code) else ""


def _address(bucket: str, access: S3Access) -> tuple[str, str]:
    """Endpoint and the path of the bucket there. Amazon's own wants the bucket in the host's name."""
    if access.endpoint is not None:
        endpoint = access.endpoint.rstrip("/")
        if not _ENDPOINT.fullmatch(endpoint):
            raise InvalidInput(
                f"FRADECT_S3_ENDPOINT={shown(endpoint)!r}: give http(s)://host:port alone", field="FRADECT_S3_ENDPOINT"
            )
        return endpoint, f"/{bucket}/"
    if not _REGION.fullmatch(access.region):
        raise InvalidInput(f"AWS_REGION={access.region!r} is no region's name", field="AWS_REGION")
    if "." in bucket:  # its certificate would not fit
        return f"https://s3.{access.region}.amazonaws.com", f"/{bucket}/"
    return f"https://{bucket}.s3.{access.region}.amazonaws.com", "/"


def _signer(access: S3Access) -> Signer | None:
    if access.key_id is None and access.secret is None:
        return None
    if access.key_id is None or access.secret is None:
        raise InvalidInput("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both or none")
    return Signer(access.key_id, access.secret, access.token, access.region)
