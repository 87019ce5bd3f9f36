"""Who answered: S3, or something in between (a redirect, a firewall's page, a proxy that wants a login).

Only S3's own answer counts; anything that answers in its place ends the run, and is named. Answers are checked before
botocore parses them: botocore treats any 403 as one from S3, and an answer that it cannot parse as a 500.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from xml.etree import ElementTree as ET

from ingest.errors import Disrupted, SourceRefused, printable

NOT_S3: Final = "this is not an S3 response: check [source] endpoint_url and any proxy in between"

_OWN_MEANING = {408, 412, 416, 425, 429}
"""Refusals that HTTP itself defines: they mean what they say, whoever sends them."""

_STREAM: ContextVar[Any] = ContextVar("the body of an answer that is streamed")

_AS_BOTOCORE_SAYS = 500
"""What botocore makes of a status 200 whose body is not XML."""

_LOOKED_AT = 4096
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_UNENDED = re.compile(r'[^\s<>"]*$')


def know_who_answers(client: Any) -> None:
    """Make an S3 client refuse answers that are not from S3, and follow none that redirects it."""
    client.meta.events.register_first("before-parse.s3.*", _look_at)
    client.meta.events.register("before-call.s3", _stay)


@contextmanager
def closing_what_fails() -> Iterator[None]:
    """Within this, an answer on which botocore fails before it returns the body gives its connection back."""
    before = _STREAM.set(None)
    try:
        yield
    except BaseException:
        if stream := _STREAM.get():
            stream.close()
        raise
    finally:
        _STREAM.reset(before)


def _stay(context: dict[str, Any], **_: object) -> None:
    """As if the request had been redirected already: botocore would try again in the region that an answer names."""
    context["s3_redirect"] = {"redirected": True}


def _look_at(operation_model: Any, response_dict: dict[str, Any], **_: object) -> None:
    """Refuse an answer that is not from S3."""
    status, body = response_dict["status_code"], response_dict["body"]
    if not isinstance(body, bytes):
        _STREAM.set(body)
        return
    headers = response_dict["headers"]
    if 300 <= status < 400:
        raise SourceRefused(_sent_on(status, headers, body))
    is_head = operation_model.http["method"] == "HEAD"
    if 400 <= status < 500 and status not in _OWN_MEANING and not is_head and _code(body) is None:
        raise SourceRefused(f"{status}, and not by S3 ({described(headers, body)}): {_IN_BETWEEN}")
    is_no_xml = status == _AS_BOTOCORE_SAYS and _code(body) is None
    is_other = status < 300 and _root(body) not in ("ListBucketResult", "Error")
    if operation_model.name == "ListObjectsV2" and (is_no_xml or is_other):
        raise Disrupted(f"the answer is not a listing ({described(headers, body)}); {NOT_S3}")


_IN_BETWEEN = "a firewall or a proxy is in between, or [source] endpoint_url is not an S3 gateway"


def _sent_on(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """In words, an answer that redirects, and what to set."""
    where = headers.get("location") or _texts(body).get("Endpoint")
    said = f"{status} {_code(body) or ''}".strip()
    region = headers.get("x-amz-bucket-region")
    set_region = f", and region to {excerpt(region)}" if region else ""
    if not where:
        return f"{said}: the source redirects and does not say where to ({described(headers, body)}); {NOT_S3}"
    return (
        f"{said}: the source redirects to {excerpt(where)}, which is not followed: set [source] endpoint_url to the "
        f"S3 gateway itself{set_region}"
    )


def described(headers: Mapping[str, str], body: bytes) -> str:
    """Who sent an answer, of what type, and how it begins."""
    server = headers.get("server") or headers.get("via")
    kind = headers.get("content-type", "").partition(";")[0]
    start = body[:_LOOKED_AT].decode("utf-8", "replace")
    title = _TITLE.search(start)
    begins = excerpt(title[1] if title and title[1].strip() else start, 120)
    return ", ".join(
        [
            f"server {excerpt(server, 60)}" if server else "no server named",
            excerpt(kind, 60) if kind else "of no type",
            f'"{begins}"' if begins else "empty",
        ]
    )


def excerpt(text: str, most: int = 300) -> str:
    """The beginning of a text in one printable line, cut between words: half a key would not be recognized as one."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{_UNENDED.sub('', line[:most])}…"


def _parsed(body: bytes) -> ET.Element | None:
    try:
        return ET.fromstring(body)  # noqa: S314 - as botocore does; expat bounds what entities grow to
    except ET.ParseError:
        return None


def _root(body: bytes) -> str:
    """The name of a document's outermost element, taken from its beginning."""
    parser: ET.XMLPullParser[Any] = ET.XMLPullParser(["start"])
    try:
        parser.feed(body[:_LOOKED_AT])
        begun: Any = next(iter(parser.read_events()), None)
    except ET.ParseError:
        return ""
    return _local(begun[1].tag) if begun else ""


def _texts(body: bytes) -> Mapping[str, str]:
    """The elements of an S3 error; empty if the body is not one."""
    root = _parsed(body)
    if root is None or _local(root.tag) != "Error":
        return {}
    return {_local(child.tag): (child.text or "").strip() for child in root}


def _code(body: bytes) -> str | None:
    """The code of an S3 error; None if the body is not one."""
    return _texts(body).get("Code") or None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
