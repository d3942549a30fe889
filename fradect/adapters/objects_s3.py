"""An S3 bucket, or a part of it, as an ObjectStore: spoken by Amazon's client for Python. The only door to it."""

import io
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
)
from botocore.exceptions import ConnectionError as ConnectFailed
from botocore.parsers import ResponseParserError
from botocore.session import Session

from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused, Unavailable
from fradect.objects import Content, ObjectFacts, S3Url, shown
from fradect.settings import S3Access

PART = 16 << 20  # bytes sent at once; also what an upload holds in memory
LARGEST = 64 << 20  # bytes that `read` takes into memory
RESUMES = 3
ATTEMPTS = 3
CONNECT = 2.0  # seconds
SILENCE = 10.0  # seconds of an answer's that are borne
_CHUNK = 1 << 20
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-fA-F:.]+\](:\d{1,5})?")

for _talker in ("boto3", "botocore", "s3transfer"):
    logging.getLogger(_talker).setLevel(logging.INFO)  # below it they write session tokens and contents


class S3Objects:
    """Keys are relative to the URL's path. Conditional writes are the server's (If-Match, If-None-Match)."""

    def __init__(self, url: S3Url, access: S3Access) -> None:
        """InvalidInput for an endpoint or credentials that cannot be right; nothing is asked yet."""
        _check(access)
        self._s3 = _client(access, CONNECT)
        self._access = access
        self._bucket = url.bucket
        self._prefix = f"{url.path}/" if url.path else ""
        self._endpoint = str(self._s3.meta.endpoint_url)
        if access.endpoint is None and "." not in url.bucket:
            self._endpoint = self._endpoint.replace("://", f"://{url.bucket}.", 1)
        self.url = f"{url} at {self._endpoint}"

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        with self._told():
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for found in page.get("Contents", ()):
                    yield ObjectFacts(found["Key"][len(self._prefix) :], found["Size"], _version(found))

    def read(self, key: str) -> Content | None:
        try:
            with self._told(key):
                answer = self._s3.get_object(**self._at(key))
                raw = bytearray()
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(_CHUNK):
                        raw += chunk
                        if len(raw) > LARGEST:
                            raise Refused(
                                f"{self.url}/{key} is larger than {LARGEST >> 20} MB: it is not what it should be"
                            )
                return Content(bytes(raw), _version(answer))
        except NotFound:
            self._needs_bucket()
            return None

    def download(self, key: str, target: Path, version: str = "") -> None:
        """A download that breaks off goes on where it was. Conflict when that version, or what was begun, is gone."""
        with target.open("wb") as file:
            for resume in range(RESUMES + 1):
                begun = file.tell()
                wanted = {"IfMatch": f'"{version}"'} if version else {}
                if begun:
                    wanted["Range"] = f"bytes={begun}-"
                try:
                    with self._told(key):
                        answer = self._s3.get_object(**self._at(key), **wanted)
                        if "ContentRange" not in answer:
                            file.seek(0)
                            file.truncate()
                        version = _version(answer)
                        with closing(answer["Body"]) as body:
                            for chunk in body.iter_chunks(_CHUNK):
                                file.write(chunk)
                        return
                except Unavailable:
                    if resume == RESUMES or file.tell() == begun:
                        raise

    def upload(self, key: str, content: BinaryIO) -> None:
        """Large contents go in parts; those of an upload that fails are taken back. `content` may be closed after."""
        at = self._at(key)
        by_parts = TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, use_threads=False, preferred_transfer_client="classic"
        )
        with self._told(key):
            self._writer.upload_fileobj(content, at["Bucket"], at["Key"], Config=by_parts)

    def put(self, key: str, raw: bytes, instead_of: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if instead_of is None else {"IfMatch": f'"{instead_of}"'}
        try:
            with self._told(key):
                body = io.BytesIO(raw)  # bytes would be one piece
                return _version(self._writer.put_object(**self._at(key), Body=body, **condition))
        except (Conflict, NotFound):
            there = self.read(key)  # an earlier try of ours may have been written, and its answer lost
            if there is not None and there.raw == raw:
                return there.version
            raise Conflict(f"{self.url}/{key}: somebody else has written it meanwhile") from None

    def delete(self, key: str) -> None:
        with suppress(NotFound), self._told(key):
            self._s3.delete_object(**self._at(key))

    @cached_property
    def _writer(self) -> Any:
        """A client of its own, since no piece of a content may take longer to go than connecting may."""
        return _client(self._access, SILENCE)

    def _needs_bucket(self) -> None:
        """A missing object and a missing bucket look alike to some servers."""
        with self._told():
            self._s3.list_objects_v2(Bucket=self._bucket, MaxKeys=0)

    def _at(self, key: str) -> dict[str, str]:
        if any(part in (".", "..") for part in key.split("/")):
            raise InvalidInput(f"s3://{self._bucket}: a key with '.' or '..' between slashes cannot be asked for")
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @contextmanager
    def _told(self, key: str | None = None) -> Iterator[None]:
        """What the client raises within, as errors of ours; `key`: of the object, None for the bucket itself."""
        try:
            yield
        except ClientError as error:
            raise self._meaning(error, key) from error
        except (ConnectFailed, HTTPClientError, IncompleteReadError) as error:
            raise Unavailable(
                f"s3://{self._bucket}: {self._endpoint} cannot be reached ({type(error).__name__}): "
                "check FRADECT_S3_ENDPOINT and the network, then try again"
            ) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise Refused(f"{self.url} does not answer like S3: check FRADECT_S3_ENDPOINT") from error

    def _meaning(self, error: ClientError, key: str | None) -> FradectError:
        status, code, region = _said(error)
        where = f"s3://{self._bucket}/{self._prefix}{key}" if key is not None else f"s3://{self._bucket}"
        if code == "NoSuchBucket":
            return NotFound(f"s3://{self._bucket}: there is no such bucket at {self._endpoint}")
        if status == 404 and code != "NoSuchUpload" and key is not None:
            return NotFound(f"{where}: there is no such object")
        if status == 412 or (status == 409 and key is not None):
            return Conflict(f"{where}: somebody else has written it meanwhile")
        if status in (409, 429) or status >= 500 or code == "NoSuchUpload":  # put together already, or swept away
            return Unavailable(f"{where}: {self._endpoint} answers {status} {code}".rstrip() + "; try again later")
        if status in (301, 307, 400) and (region or "Redirect" in code or code == "AuthorizationHeaderMalformed"):
            named = f"={region}" if _REGION.fullmatch(region) else ""
            return InvalidInput(f"s3://{self._bucket} is in another region: set AWS_REGION{named}")
        return Refused(f"{where}: {self._endpoint} {self._refusal(error, status, code)}")

    def _refusal(self, error: ClientError, status: int, code: str) -> str:
        method = self._s3.meta.service_model.operation_model(error.operation_name).http["method"]
        if code == "RequestTimeTooSkewed":
            return "has another time than this machine: set the clock"
        if status in (401, 403):
            verb = "check" if self._access.key_id else "requests are not signed: set"
            remedy = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
            return f"denies {method} ({code or status}); {verb} {remedy}"
        return f"answers {method} with {status} {code}".rstrip()


def _said(error: ClientError) -> tuple[int, str, str]:
    """Status, S3's name of the error (empty when it has none, or something that is no name), the bucket's region."""
    answer = error.response["ResponseMetadata"]
    status, code = answer["HTTPStatusCode"], str(error.response["Error"].get("Code", ""))
    is_name = _CODE.fullmatch(code) and not code.isdigit()
    return status, code if is_name else "", answer["HTTPHeaders"].get("x-amz-bucket-region", "")


def _check(access: S3Access) -> None:
    if access.endpoint is not None and not _ENDPOINT.fullmatch(access.endpoint.rstrip("/")):
        raise InvalidInput(
            f"FRADECT_S3_ENDPOINT={shown(access.endpoint)!r}: give http(s)://host:port alone",
            field="FRADECT_S3_ENDPOINT",
        )
    if (access.key_id is None) != (access.secret is None):
        raise InvalidInput("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both or none")
    if access.ca_bundle and not Path(access.ca_bundle).exists():
        raise InvalidInput(f"AWS_CA_BUNDLE={access.ca_bundle!r}: there is no such file", field="AWS_CA_BUNDLE")


def _client(access: S3Access, connect: float) -> Any:
    """Goes by `access` alone: the client looks for no setting and no credentials elsewhere."""
    known = {name: (None, None, *rest) for name, (_, _, *rest) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    nowhere = (None, None, os.devnull, None)
    session = Session(session_vars={**known, "config_file": nowhere, "credentials_file": nowhere})
    try:
        client = boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name=access.region,
            endpoint_url=access.endpoint and access.endpoint.rstrip("/"),
            verify=access.ca_bundle or True,
            aws_access_key_id=access.key_id,
            aws_secret_access_key=access.secret,
            aws_session_token=access.token,
            config=_config(access, connect),
        )
    except InvalidRegionError as error:
        raise InvalidInput(f"AWS_REGION={access.region!r} is no region's name", field="AWS_REGION") from error
    client.meta.events.register("before-call.s3", _stay)
    client.meta.events.register("before-parse.*.ListObjectsV2", _only_listings)  # the star: before the client's own
    return client


def _config(access: S3Access, connect: float) -> Config:
    return Config(
        connect_timeout=connect,
        read_timeout=SILENCE,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ignore_configured_endpoint_urls=True,
        signature_version=UNSIGNED if access.key_id is None else "s3v4",
        request_checksum_calculation="when_required",  # other servers do not know the newer ones
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if access.endpoint else "auto",
            "payload_signing_enabled": True,
            "us_east_1_regional_endpoint": "regional",
        },
    )


def _stay(params: dict[str, Any], **_: Any) -> None:
    """No redirect is followed: the client would, without end where the answer names no region."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _only_listings(response_dict: dict[str, Any], **_: Any) -> None:
    """The client would take a web page for a server in trouble, and other XML for an empty listing."""
    body: bytes = response_dict["body"]
    if response_dict["status_code"] == 200 and b"ListBucketResult" not in body and b"Error" not in body:
        raise ResponseParserError("no listing")


def _version(answer: Mapping[str, Any]) -> str:
    if "ETag" not in answer:
        raise ResponseParserError("no ETag")
    return str(answer["ETag"]).strip('"')
