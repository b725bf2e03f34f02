"""Where a bucket lies and how it is opened: a local folder, `s3://`, or an `https://` mirror, all through obstore."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from obstore.store import LocalStore, S3Store

from llavamed_data.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PMC_CLOUD = "s3://pmc-oa-opendata"
REGION = "us-east-1"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECT = timedelta(seconds=15)
_SILENCE = timedelta(seconds=120)
_WHOLE_ANSWER = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket lies.

    Attributes:
        given: as the user wrote it.
        folder: of a local copy, else None.
        address: URL of the bucket's root, which keys are added to; empty for a folder.
        prefix: of all keys, inside the bucket.
    """

    given: str
    folder: Path | None = None
    address: str = ""
    prefix: str = ""

    @classmethod
    def of(cls, given: str | os.PathLike[str]) -> "Place":
        """Reads a path, `file:` URL, `s3://bucket/prefix` or `https://host/path`.

        `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names another S3 server. Requests are never signed.

        Raises:
            UsageError: there is no such folder; the URL lacks its bucket; plain `http` to another machine.
        """
        text = os.fspath(given)
        scheme, separator, rest = text.partition("://")
        if text.startswith("file:"):
            return cls(text, folder=_folder(unquote(urlsplit(text).path)))
        if not separator:
            return cls(text, folder=_folder(text))
        if scheme == "s3":
            bucket, _, prefix = rest.partition("/")
            if not bucket:
                raise UsageError(f"{text} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
            return cls(text, address=_bucket_address(bucket), prefix=prefix.strip("/"))
        if scheme in ("https", "http"):
            return cls(text, address=safe_address(text.rstrip("/")))
        raise UsageError(f"{text}: unknown kind of address {scheme}://: use a folder, s3:// or https://")

    def url(self, key: str = "") -> str:
        """The HTTP address of a key; only where `address` is set."""
        return "/".join(filter(None, (self.address, quote(self.prefix), quote(key))))

    def store(self, *, retry_seconds: float = 0) -> "ObjectStore":
        """Opens it.

        Args:
            retry_seconds: for so long obstore repeats a request that failed; 0 leaves each failure to the caller.
        """
        if self.folder is not None:
            return LocalStore(self.folder)
        return S3Store(
            "bucket-in-address",
            prefix=self.prefix or None,
            endpoint=self.address,
            aws_endpoint_url_s3=self.address,
            virtual_hosted_style_request=True,
            region=REGION,
            skip_signature=True,
            client_options={
                "allow_http": self.address.startswith("http://"),
                "connect_timeout": _CONNECT,
                "read_timeout": _SILENCE,
                "timeout": _WHOLE_ANSWER,
                "user_agent": "llavamed-data",
            },
            retry_config={
                "max_retries": 1_000 if retry_seconds else 0,
                "retry_timeout": timedelta(seconds=retry_seconds),
            },
        )


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{path} is {'not a folder' if folder.exists() else 'not there'}: check the path")
    return folder


def _bucket_address(bucket: str) -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return safe_address(f"{endpoint.rstrip('/')}/{bucket}")
    if "." in bucket:  # a certificate for *.s3… does not cover a name with dots
        return f"https://s3.{REGION}.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.{REGION}.amazonaws.com"


def safe_address(url: str) -> str:
    """`url`, if nobody between can read what goes over it.

    Raises:
        UsageError: it names no host, or is plain `http` to another machine.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url} names no host: write https://HOST/PATH")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"{url} is not encrypted: use https:// (http:// is for this machine only)")
    return url
