"""The object store that `[cache] archive` names: the section [store]. Its keys are no settings."""

import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from ingest.settings.section import Section, whole_number
from ingest.settings.values import Whole, split_url

_SCHEMES = ("s3", "gs", "az")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9!_.*'()=+,@$&~ -]{1,255}")


class Place(NamedTuple):
    """Where in an object store: `s3`, `gs` or `az`, the name of a bucket (or container), a prefix, perhaps empty."""

    scheme: str
    bucket: str
    prefix: str


def place_of(url: str) -> Place:
    """The parts of a URL such as s3://BUCKET/PREFIX, which was found to be valid."""
    parts = urlsplit(url)
    return Place(parts.scheme, parts.netloc, parts.path.strip("/"))


def _store_url(url: str) -> str:
    """A valid URL without a slash at its end; "" stays."""
    if not url:
        return url
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in _SCHEMES:
        raise ValueError(f"it needs {', '.join(f'{one}://' for one in _SCHEMES)}, and a bucket")
    if "?" in rest or "#" in rest:
        raise ValueError("a query or a fragment does not belong in it; an endpoint or a region is set in [store]")
    bucket, _, prefix = rest.partition("/")
    _check_bucket(bucket)
    prefix = prefix.rstrip("/")
    if prefix:
        _check_prefix(prefix)
    return f"{scheme}://{bucket}/{prefix}".rstrip("/")


def _check_bucket(bucket: str) -> None:
    if "@" in bucket:
        raise ValueError("keys do not belong in it; they go into the environment, or the profile that [store] names")
    if not bucket:
        raise ValueError("it has no bucket")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("the name of its bucket has 3 to 63 of a-z 0-9 . - _; an endpoint is set in [store]")


def _check_prefix(prefix: str) -> None:
    # Servers and clients disagree on what `//`, `..` and other characters mean in the name of an object.
    if any(name in {".", ".."} or not _SEGMENT.fullmatch(name) for name in prefix.split("/")):
        raise ValueError("a part of its prefix is empty, . or .., or has characters that not every store takes")


def _endpoint(url: str) -> str:
    """A valid URL in its usual spelling, without a slash at its end; "" stays.

    Plain http is allowed: what is read is checked by hashes.
    """
    if not url:
        return url
    parts = split_url(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("keys do not belong in it; they go into the environment, or the profile that [store] names")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it needs http or https, and a host")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a query does not belong in it; the bucket is in [cache] archive")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


StoreUrl = Annotated[str, AfterValidator(_store_url)]
_Endpoint = Annotated[str, AfterValidator(_endpoint)]
_RegionOrNone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{0,64}$")]
_ProfileOrNone = Annotated[str, StringConstraints(pattern=r"^[^\p{Cc}\[\]]{0,128}$")]


class Store(Section):
    """How to reach the object store that `[cache] archive` names, and what is kept there; times in hours."""

    tiers: Literal["both", "archive"] = Field(default="both", description='"both" or "archive"')
    endpoint: _Endpoint = Field(default="", description='https://HOST[:PORT] or http://HOST[:PORT]; or ""')
    region: _RegionOrNone = Field(default="", description='the name of a region, such as us-east-1; or ""')
    profile: _ProfileOrNone = Field(default="", description='the name of a section of ~/.aws/credentials; or ""')
    keep_replaced_h: Whole = whole_number(24, 1, 8760)
