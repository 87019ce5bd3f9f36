"""What S3's answers mean: its codes and botocore's errors as errors of ours, and the times in its headers."""

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
"""What a status means whose code is none of those: a 403 may be anything but a word about the plan."""

_ADVICE = {
    "InvalidAccessKeyId": "the source does not know this access key: take the S3 keys (not the API key) from the "
    "vendor's dashboard",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: copy both again",
    "ExpiredToken": "these keys have expired: take new ones",
    "InvalidToken": "these keys need no session token, or another one: see aws_session_token",
    "AuthorizationHeaderMalformed": "the keys or the region are not as S3 writes them: see [source] region",
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
    "its TLS certificate is not trusted; an authority of your own is named by the environment variable AWS_CA_BUNDLE"
)


@contextmanager
def translating(what: str, keys: Any) -> Iterator[None]:
    """Raise what a request may raise as an error of ours, without the keys that an answer may have echoed."""
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
    except boto.BotoCoreError as error:  # keys that are told by a program, or by another service, when first used
        raise SourceRefused(f"{what}: {error}") from error


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Around a call of botocore's, and nothing of ours: whatever it stumbles over in an answer is Disrupted.

    What is known of who answered (see `intermediaries`) is told with what was asked.
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
    """In words, a failure of the transport that no other attempt mends: nobody vouches for it, or a proxy refuses."""
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return f"{cause.host}:{cause.port}: {_UNTRUSTED}: {cause.certificate_error}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{_UNTRUSTED}: {cause}"
    if isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status in _PROXY_REFUSES:
        said = f"{cause.status} {excerpt(cause.message)}".strip()
        return f"the proxy refuses to lead to the source ({said}): see HTTPS_PROXY and NO_PROXY in the environment"
    return None


def _hide(error: IngestError, secrets: Collection[str]) -> None:
    """Take keys and signatures out of an error's message; causes that hold some are not told in a traceback either."""
    before = [str(error), *_causes(error)]
    if (after := [hidden(text, secrets) for text in before]) != before:
        error.args = (after[0],)
        error.__cause__, error.__suppress_context__ = None, True


def _causes(error: BaseException) -> Iterator[str]:
    """Each error below one, once: where several tasks raise the same error, a chain can come back to itself."""
    seen = {id(error)}
    below = error.__cause__ or error.__context__
    while below and id(below) not in seen:
        seen.add(id(below))
        yield f"{below}"
        below = below.__cause__ or below.__context__


def status_of(error: boto.ClientError) -> int:
    """Status of the answer that botocore has made an error of; 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _cause(error: Exception) -> object:
    """What lies below botocore's own words, which leave out the host that did not answer, and why."""
    return getattr(error, "kwargs", {}).get("error", error)


def iso(http_date: str | None) -> str:
    """The time of an HTTP header in the form that listings have; empty where there is none."""
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
    """Seconds that this computer's clock is ahead of a time in a header; None where that is no time."""
    theirs = _time(http_date)
    return None if theirs is None else (datetime.now(UTC) - theirs).total_seconds()


def _time(http_date: str | None) -> datetime | None:
    """A time in UTC, as it is in HTTP; None where a text is none that a clock can show."""
    try:
        found = parsedate_to_datetime(http_date or "")
        # -0000, a time without a zone, is UTC in HTTP.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, be they told as such or as the time when to come back (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    if (then := _time(value)) is None:
        return None
    # By the source's own clock: this computer's may be off.
    now = _time(headers.get("date")) or datetime.now(UTC)
    return max((then - now).total_seconds(), 0.0)
