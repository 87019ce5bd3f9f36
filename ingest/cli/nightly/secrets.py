"""What must not leave this machine with a message: keys, tokens, query strings, the login of a proxy."""

import configparser
import os
import re
from collections.abc import Iterable, Iterator

from ingest.settings.sections.notify import Notify
from ingest.sources.massive.credentials import hidden
from ingest.sources.massive.origins import credentials_file

_NAMES = re.compile(r"secret|passw|token|api_?key|(^|_)key(_id)?$", re.IGNORECASE)
"""Variables, and entries of the file with the keys, whose value is a secret."""

_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")
_ASSIGNED = re.compile(
    r"((?:secret|passw\w*|token|api_?key)[\"']?\s*[=:]\s*[\"']?)(?:bearer\s+)?[^\s\"'&,;]+", re.IGNORECASE
)
_QUERY = re.compile(r"(\w{1,20}://[^\s?#]+)\?[^\s\"'<>`]*")
_SHORTEST = 8
"""Minimum length of a secret; anything shorter would remove letters from ordinary words."""


def secrets_near(notify: Notify) -> frozenset[str]:
    """Secrets that a message might quote: of the environment, of the file with the keys, of [notify]."""
    found = {*_named(os.environ.items()), *_logins(), *_keys(), notify.ping_url, *notify.apprise}
    return frozenset(one for one in found if len(one) >= _SHORTEST)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """A text without these secrets, signatures, logins and query strings of URLs."""
    whole = _ASSIGNED.sub(r"\1(not shown)", hidden(text, sorted(secrets, key=len, reverse=True)))
    return _QUERY.sub(r"\1?(not shown)", _LOGIN.sub("(not shown)", whole))


def _named(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (value.strip() for name, value in pairs if _NAMES.search(name))


def _logins() -> Iterator[str]:
    """The logins of proxies, also without the address that they stand in."""
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and "@" in value:
            login = value.rpartition("@")[0].rpartition("//")[2]
            yield from (login, login.partition(":")[2])


def _keys() -> Iterator[str]:
    """All keys of the file, whatever the profile; none if it cannot be read: then no message can quote it."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(credentials_file(), encoding="utf-8")
    except (OSError, ValueError, configparser.Error):
        return
    for section in parser.sections():
        yield from _named(parser.items(section))
