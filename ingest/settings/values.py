"""The types of settings, validated more strictly than pydantic does where it is lenient."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from ingest.errors import UsageError
from ingest.market.catalogue import named

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?(?:([KMGT])(I?)B|B)?", re.ASCII)
_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?(?:E\+?\d{1,2})?) ?(K|M|BN?|T|)", re.ASCII)
_DURATION = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_PORTS = {"http": 80, "https": 443}
_FORMER = {"files.polygon.io": "files.massive.com"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _no_bool(value: Any) -> Any:
    # Python counts True as 1; `concurrency = true` is surely a mistake.
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _bytes(value: Any) -> Any:
    """64 MiB → 67108864; other types pass unchanged.

    pydantic's own ByteSize reads only the beginning of a text: it makes 64 bytes of "64,000,000".
    """
    return parse_size(value) if isinstance(value, str) else _no_bool(value)


def parse_size(text: str) -> int:
    """Bytes of a size: "64 MiB" → 67108864, "1.5 GB" → 1500000000; raises ValueError for anything else."""
    found = _SIZE.fullmatch(text.strip().upper())
    if not found:
        raise ValueError("not a size")
    number, unit, binary = found.groups(default="")
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit or " "))


def parse_amount(text: str) -> float:
    """A number of dollars: "5M" → 5000000.0, "1.5bn", "250k", "1e6"; raises ValueError for anything else."""
    found = _AMOUNT.fullmatch(text.strip().upper())
    if not found:
        raise ValueError("not an amount")
    return float(found[1]) * 1000.0 ** " KMBT".index(found[2][:1] or " ")


def parse_duration(text: str) -> int:
    """Seconds of a duration: "90m" → 5400, "6h", "1d"; raises ValueError for anything else, and above 30 days."""
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= 30 * _SECONDS["d"]:
        raise ValueError("not a duration")
    return seconds


def _path(value: Any) -> Any:
    # An empty text would silently mean the working folder; a control character comes from a quoting mistake.
    if not isinstance(value, str | Path):
        return value
    if not str(value).strip() or _CONTROL.search(str(value)):
        raise ValueError("it is empty or has control characters")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("the home folder is not known") from error


def _file_name(value: Any) -> Any:
    return str(_path(value)) if isinstance(value, str | Path) and str(value) else value


def split_url(url: str) -> SplitResult:
    """The parts of a URL; raises ValueError if it has characters that do not belong in one."""
    # urlsplit drops tabs and line ends silently, so check for them first.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("it has blanks or characters that do not belong in a URL")
    parts = urlsplit(url)
    if not _has_port(parts):
        raise ValueError("its port must be a number from 1 to 65535")
    return parts


def _has_port(parts: SplitResult) -> bool:
    """Whether the port can be used, or is left out. urlsplit's own error quotes it: it may be a password."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _endpoint(url: str) -> str:
    parts = split_url(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("keys do not belong in it; they go into ~/.aws/credentials")
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("it needs http or https, and a host")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a path or a query does not belong in it; the bucket is a setting of its own")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("without TLS, changes to the data in transit go unnoticed")
    return f"{parts.scheme}://{parts.netloc.rstrip(':')}"


def source_name(url: str) -> str:
    """One name of a source for all spellings: `https://files.massive.com/flatfiles`; any other text stays as is.

    The vendor's former host counts as its present one.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        return url
    host = _FORMER.get(parts.hostname.rstrip("."), parts.hostname.rstrip("."))
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}"


def _named_source(url: str) -> str:
    if not url.isprintable():
        raise ValueError("it has characters that cannot be printed")
    try:
        return source_name(url.strip())
    except ValueError as error:
        raise ValueError("not a URL") from error


def _short(name: str) -> str:
    """The short name of a dataset, from either of its names."""
    try:
        return named(name).short
    except UsageError as error:
        raise ValueError(str(error)) from error


Whole = Annotated[int, BeforeValidator(_no_bool)]
Seconds = Annotated[float, BeforeValidator(_no_bool)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
File = Annotated[Path, BeforeValidator(_path)]
FileOrNone = Annotated[str, BeforeValidator(_file_name)]
Url = Annotated[str, AfterValidator(_endpoint)]
SourceName = Annotated[str, StringConstraints(max_length=500), AfterValidator(_named_source)]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Profile = Annotated[str, StringConstraints(pattern=r"^[^\p{Cc}\[\]]{1,128}$")]
Ticker = Annotated[str, StringConstraints(pattern=r"^[^\s\p{Cc},;#]+$")]
DatasetName = Annotated[str, AfterValidator(_short)]
