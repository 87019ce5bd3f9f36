"""What S3's answers mean: its codes and botocore's errors as errors of `ingest`, and the times in its headers."""

import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from ingest.errors import Disrupted, Forbidden, IngestError, NotFound, SourceError, SourceRefused, Throttled
from ingest.sources.massive.credentials import hidden, secrets_of
from ingest.sources.massive.intermediaries import NOT_S3, excerpt

_BY_CODE: Mapping[str, type[SourceError]] = {
    "AccessDenied": Forbidden,
    "AuthorizationHeaderMalformed": SourceRefused,
    "ExpiredToken": SourceRefused,
    "InternalError": Disrupted,
    "InvalidAccessKeyId": SourceRefused,
    "InvalidToken": SourceRefused,
    "NoSuchBucket": SourceRefused,
    "NoSuchKey": NotFound,
    "OperationAborted": Disrupted,
    "PermanentRedirect": SourceRefused,
    "RequestLimitExceeded": Throttled,
    "RequestTimeTooSkewed": SourceRefused,
    "RequestTimeout": Disrupted,
    "ServiceUnavailable": Throttled,
    "SignatureDoesNotMatch": SourceRefused,
    "SlowDown": Throttled,
    "Throttling": Throttled,
    "TooManyRequests": Throttled,
}
_BY_STATUS: Mapping[int, type[SourceError]] = {
    404: NotFound,
    408: Disrupted,
    425: Disrupted,
    429: Throttled,
    503: Throttled,
}
"""The meaning of a status without one of these codes: such a 403 says nothing about the subscription."""

_ADVICE = {
    "InvalidAccessKeyId": "the source does not know this access key: take the S3 keys (not the API key) from the "
    "vendor's dashboard",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: copy both again",
    "ExpiredToken": "these keys have expired: get new ones",
    "InvalidToken": "these keys need no session token, or another one: see aws_session_token",
    "AuthorizationHeaderMalformed": "the keys or the region are malformed: see [source] region",
    "RequestTimeTooSkewed": "this computer's clock is wrong: set it and try again",
    "NoSuchBucket": "no such bucket: check [source] bucket",
}

_TRANSPORT = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
    ConnectionError,
    OSError,
)

_PROXY_REFUSES = {*range(400, 500)} - {408, 425, 429}

_UNTRUSTED = (
    "its TLS certificate is not trusted; to trust an authority of your own, set the environment variable AWS_CA_BUNDLE"
)


@contextmanager
def translating(what: str, keys: Any) -> Iterator[None]:
    """Raise what a request may raise as an error of `ingest`, without keys that an answer may have echoed."""
    try:
        with _translating(what):
            yield
    except IngestError as error:
        _hide(error, secrets_of(keys))
        raise


@contextmanager
def _translating(what: str) -> Iterator[None]:
    try:
        yield
    except boto.ClientError as error:
        raise _translated(error, what) from error
    except _TRANSPORT as error:
        if refused := _refusal(_cause(error)):
            raise SourceRefused(f"{what}: {refused}") from error
        raise Disrupted(f"{what}: {type(error).__name__}: {_cause(error)}") from error
    except boto.BotoCoreError as error:  # keys from a program, or from another service, when first used
        raise SourceRefused(f"{what}: {error}") from error


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Around a call of botocore, with no code of ours: whatever it fails on in an answer is Disrupted.

    The message says what was requested and what is known of who answered (see `intermediaries`).
    """
    try:
        yield
    except IngestError as error:
        raise type(error)(f"{what}: {error}") from error
    except (boto.ClientError, boto.BotoCoreError, *_TRANSPORT):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {excerpt(str(error), 100)}"
        raise Disrupted(f"{what}: the answer cannot be understood ({said}); {NOT_S3}") from error


def _refusal(cause: object) -> str | None:
    """In words, a transport failure that no retry can fix: an untrusted certificate, or a proxy that refuses."""
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return f"{cause.host}:{cause.port}: {_UNTRUSTED}: {cause.certificate_error}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{_UNTRUSTED}: {cause}"
    if isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status in _PROXY_REFUSES:
        said = f"{cause.status} {excerpt(cause.message)}".strip()
        return f"the proxy refuses to connect to the source ({said}): see HTTPS_PROXY and NO_PROXY in the environment"
    return None


def _hide(error: IngestError, secrets: Collection[str]) -> None:
    """Remove keys and signatures from an error's message; causes that contain some are left out of tracebacks, too."""
    before = [str(error), *_causes(error)]
    if (after := [hidden(text, secrets) for text in before]) != before:
        error.args = (after[0],)
        error.__cause__, error.__suppress_context__ = None, True


def _causes(error: BaseException) -> Iterator[str]:
    """Each error below one, once: if several tasks raise the same error, a chain can loop."""
    seen = {id(error)}
    below = error.__cause__ or error.__context__
    while below and id(below) not in seen:
        seen.add(id(below))
        yield f"{below}"
        below = below.__cause__ or below.__context__


def status_of(error: boto.ClientError) -> int:
    """Status of the answer behind a botocore error; 0 if there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _cause(error: Exception) -> object:
    """What is below botocore's own message, which leaves out the host that did not answer, and why."""
    return getattr(error, "kwargs", {}).get("error", error)


def iso(http_date: str | None) -> str:
    """The time of an HTTP header in the form that listings have; empty if there is none."""
    found = _time(http_date)
    return "" if found is None else found.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _translated(error: boto.ClientError, what: str) -> IngestError:
    code = excerpt(str(error.response.get("Error", {}).get("Code") or error.response.get("Code", "")))
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    status = status_of(error)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (Disrupted if status >= 500 else SourceRefused)
    words = excerpt(str(error.response.get("Error", {}).get("Message") or "no message"))
    if kind is SourceRefused:
        words = _advice(code, headers) or f"{words}; {NOT_S3}"
    message = f"{what}: {code or status}: {words}"
    if kind is Throttled:
        return Throttled(message, _retry_after(headers))
    return kind(message)


def _advice(code: str, headers: Mapping[str, str]) -> str | None:
    ahead = (ahead_of(headers.get("date")) or 0.0) if code == "RequestTimeTooSkewed" else 0.0
    return f"{_ADVICE[code]} (it is off by {ahead:+,.0f} s)" if abs(ahead) > 1 else _ADVICE.get(code)


def ahead_of(http_date: str | None) -> float | None:
    """Seconds that this computer's clock is ahead of a time in a header; None if that is not a time."""
    theirs = _time(http_date)
    return None if theirs is None else (datetime.now(UTC) - theirs).total_seconds()


def _time(http_date: str | None) -> datetime | None:
    """A time in UTC, as HTTP has it; None if the text is not a valid time."""
    try:
        found = parsedate_to_datetime(http_date or "")
        # In HTTP, -0000, a time without a zone, is UTC.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, given either as such or as a time (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    if (then := _time(value)) is None:
        return None
    # By the source's own clock, since this computer's may be wrong.
    now = _time(headers.get("date")) or datetime.now(UTC)
    return max((then - now).total_seconds(), 0.0)
