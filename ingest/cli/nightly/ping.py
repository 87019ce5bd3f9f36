"""Pings in the way of healthchecks.io: URL/start, URL, URL/<exit code>, URL/log; https://healthchecks.io/docs/http_api/.

A ping is a POST whose body is the last lines of the output; `rid` makes its start and its end belong together.
"""

import http.client
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_fixed

_ATTEMPTS = 3
_PAUSE_S = 1.0
_LONGEST_S = 5.0
"""Seconds of silence after which an attempt has failed."""

_READ = 200
_NOT_HEARD = "OK ("
"""How a 200 begins that has no effect: "OK (not found)", "OK (rate limited)"."""


def address(url: str, end: str, rid: str) -> str:
    """The URL of a ping: `end` is appended to the path, `rid` to the query."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + (f"/{end}" if end else "")
    query = "&".join(filter(None, (parts.query, f"rid={quote(rid)}")))
    return urlunsplit((parts.scheme, parts.netloc, path or "/", query, ""))


def ping(url: str, end: str, rid: str, body: bytes, timeout_s: float) -> str:
    """Send a ping, again after a fault that may pass; returns what went wrong, without the URL."""
    request = Request(address(url, end, rid), body, {"Content-Type": "text/plain; charset=utf-8"}, method="POST")  # noqa: S310 - the setting allows http and https alone
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(timeout_s),
            wait=wait_fixed(_PAUSE_S),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        ):
            with attempt:
                answer = _sent(request, min(timeout_s, _LONGEST_S))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _words(error)
    return f'answered "{ascii(answer)[1:-1]}": is the URL right?' if answer.startswith(_NOT_HEARD) else ""


def _sent(request: Request, timeout_s: float) -> str:
    try:
        with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return str(answer.read(_READ).decode(errors="replace"))
    except HTTPError as error:
        error.close()
        raise


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed: not after a refusal."""
    if isinstance(error, HTTPError):
        return error.code in (408, 425, 429) or error.code >= 500
    return isinstance(error, OSError | http.client.HTTPException)


def _words(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answered {error.code}" + (": is the URL right?" if 400 <= error.code < 500 else "")
    reason = error.reason if isinstance(error, URLError) else error
    return (
        "no answer in time"
        if isinstance(reason, TimeoutError)
        else f"failed: {getattr(reason, 'strerror', '') or reason}"
    )
