"""AWS Signature Version 4 for S3: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Signable:
    """A request before it is signed. `path` and `query` as on the wire; `payload`: SHA-256 of the body in hex."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    payload: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and for which region."""

    key_id: str
    secret: str
    token: str | None
    region: str

    def __repr__(self) -> str:
        return f"Signer(region={self.region!r})"

    def headers(self, request: Signable, now: datetime) -> dict[str, str]:
        """The request's headers (`host` among them) and what signing adds to them. `now` in UTC."""
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers |= {"x-amz-date": moment, "x-amz-content-sha256": request.payload}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
        canonical = "\n".join([request.method, request.path, request.query, lines, names, request.payload])
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.digest(self._key(moment[:8]), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope},SignedHeaders={names},Signature={signature}"
        )
        return headers

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def path_of(key: str) -> str:
    """A key as a URL's path: everything but letters, digits, '-_.~' and '/' percent-encoded, once."""
    return "/" + quote(key, safe=_UNRESERVED + "/")


def query_of(pairs: Sequence[tuple[str, str]]) -> str:
    """Ordered and encoded as the signature wants it."""
    encoded = [(quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))
