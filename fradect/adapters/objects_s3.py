"""An S3 bucket, or a part of it, as an ObjectStore."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from fradect.adapters.s3_wire import Ask, Wire, parsed
from fradect.errors import Conflict, FradectError, NotFound, Refused, Unavailable
from fradect.objects import Content, ObjectFacts, S3Url
from fradect.settings import S3Access

PART = 16 << 20  # bytes sent at once; also what an upload holds in memory
LARGEST = 64 << 20  # bytes that `read` takes into memory
RESUMES = 3
_CHUNK = 1 << 20


class S3Objects:
    """Keys are relative to the URL's path. Conditional writes are the server's (If-Match, If-None-Match)."""

    def __init__(self, url: S3Url, access: S3Access) -> None:
        self._wire = Wire(url.bucket, access)
        self._prefix = f"{url.path}/" if url.path else ""
        self.url = f"{url} at {self._wire.endpoint}"

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        start = self._prefix + prefix
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", start)]
        token: str | None = ""
        while token is not None:
            page = [*query, ("continuation-token", token)] if token else query
            root = parsed(self._wire.send(Ask("GET", query=page)))
            if root.tag != "ListBucketResult":
                raise Refused(f"{self.url} does not answer like S3: check FRADECT_S3_ENDPOINT")
            decode = unquote_plus if root.findtext("EncodingType") == "url" else str
            for found in root.iter("Contents"):
                key = decode(found.findtext("Key") or "")
                size, version = int(found.findtext("Size") or 0), found.findtext("ETag") or ""
                yield ObjectFacts(key[len(self._prefix) :], size, _bare(version))
            token = root.findtext("NextContinuationToken") if root.findtext("IsTruncated") == "true" else None

    def read(self, key: str) -> Content | None:
        try:
            with self._wire.receive(Ask("GET", self._prefix + key)) as answer:
                raw = bytearray()
                for chunk in answer.iter_raw(_CHUNK):
                    raw += chunk
                    if len(raw) > LARGEST:
                        raise Refused(
                            f"{self.url}/{key} is larger than {LARGEST >> 20} MB: it is not what it should be"
                        )
                return Content(bytes(raw), _bare(answer.headers.get("etag", "")))
        except NotFound:
            self._needs_bucket()
            return None

    def download(self, key: str, target: Path, version: str = "") -> None:
        """A download that breaks off goes on where it was. Conflict when that version, or what was begun, is gone."""
        with target.open("wb") as file:
            for resume in range(RESUMES + 1):
                begun = file.tell()
                headers = {"if-match": f'"{version}"'} if version else {}
                if file.tell():
                    headers["range"] = f"bytes={file.tell()}-"
                try:
                    with self._wire.receive(Ask("GET", self._prefix + key, headers=headers)) as answer:
                        if answer.status_code != 206:
                            file.seek(0)
                            file.truncate()
                        version = _bare(answer.headers.get("etag", ""))
                        for chunk in answer.iter_raw(_CHUNK):
                            file.write(chunk)
                        return
                except Unavailable:
                    if resume == RESUMES or file.tell() == begun:
                        raise

    def upload(self, key: str, content: BinaryIO) -> None:
        first = content.read(PART)
        if len(first) < PART:
            self._wire.send(Ask("PUT", self._prefix + key, body=first))
            return
        begun = parsed(self._wire.send(Ask("POST", self._prefix + key, [("uploads", "")])))
        upload = begun.findtext("UploadId") or ""
        try:
            self._in_parts(key, upload, first, content)
        except BaseException:
            with suppress(FradectError):  # what stays there is removed by the bucket's lifecycle
                self._wire.send(Ask("DELETE", self._prefix + key, [("uploadId", upload)]))
            raise

    def _in_parts(self, key: str, upload: str, first: bytes, content: BinaryIO) -> None:
        listed = ET.Element("CompleteMultipartUpload")
        part, number = first, 0
        while part:
            number += 1
            query = [("partNumber", str(number)), ("uploadId", upload)]
            answer = self._wire.send(Ask("PUT", self._prefix + key, query, body=part))
            entry = ET.SubElement(listed, "Part")
            ET.SubElement(entry, "PartNumber").text = str(number)
            ET.SubElement(entry, "ETag").text = answer.headers.get("etag", "")
            part = content.read(PART)
        done = self._wire.send(Ask("POST", self._prefix + key, [("uploadId", upload)], {}, ET.tostring(listed), 120.0))
        if parsed(done).tag != "CompleteMultipartUploadResult":  # S3 may fail after it has said 200
            raise Unavailable(f"{self.url}/{key}: the upload was not put together; try again")

    def put(self, key: str, raw: bytes, instead_of: str | None) -> str:
        headers = {"if-none-match": "*"} if instead_of is None else {"if-match": f'"{instead_of}"'}
        ask = Ask("PUT", self._prefix + key, headers=headers, body=raw)
        try:
            return _bare(self._wire.send(ask).headers.get("etag", ""))
        except (Conflict, NotFound):
            there = self.read(key)  # an earlier try of ours may have been written, and its answer lost
            if there is not None and there.raw == raw:
                return there.version
            raise Conflict(f"{self.url}/{key}: somebody else has written it meanwhile") from None

    def delete(self, key: str) -> None:
        self._wire.send(Ask("DELETE", self._prefix + key), 404)

    def _needs_bucket(self) -> None:
        """A missing object and a missing bucket look alike to some servers."""
        self._wire.send(Ask("GET", query=[("list-type", "2"), ("max-keys", "0")]))


def _bare(version: str) -> str:
    return version.strip('"')
