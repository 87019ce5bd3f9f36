"""Who is told how a run ended: the section [notify]. Whoever knows one of its URLs can send in your name."""

import shlex
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from ingest.settings.section import Section, seconds
from ingest.settings.values import Seconds, split_url

_REST = "…"
"""Stands for what is not shown. It belongs in no URL, so a listing that is used as config.toml is refused."""


def _ping_url(url: str) -> str:
    if not url:
        return url
    parts = split_url(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it needs http or https, and a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a user, a password or a fragment does not belong in it")
    return url


def _apprise_url(url: str) -> str:
    if not url.isprintable() or not urlsplit(url).scheme or "://" not in url:
        raise ValueError("it needs a scheme such as mailto://, and only characters that can be printed")
    return url


def _arguments(value: Any) -> Any:
    """A text is split as a POSIX shell splits it, but no shell runs it."""
    return shlex.split(value) if isinstance(value, str) else value


def _program(command: tuple[str, ...]) -> tuple[str, ...]:
    if command and (not command[0] or "\0" in "".join(command)):
        raise ValueError("it names no program, or has a NUL")
    return command


def _scheme_and_host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{_REST}"


class Notify(Section):
    """Who is told how a run ended; times in seconds."""

    ping_url: Annotated[str, AfterValidator(_ping_url)] = Field(
        default="", repr=False, description='a URL such as "https://hc-ping.com/YOUR_CHECK"; or ""'
    )
    on_failure: Annotated[tuple[str, ...], BeforeValidator(_arguments), AfterValidator(_program)] = Field(
        default=(),
        repr=False,
        description='a program with its arguments, such as ["mail", "-s", "ingest", "me"]; or []',
    )
    apprise: tuple[Annotated[str, AfterValidator(_apprise_url)], ...] = Field(
        default=(), repr=False, description='a list of URLs that apprise knows, such as ["mailto://…"]'
    )
    when: Literal["failure", "always"] = Field(default="failure", description='"failure" or "always"')
    timeout_s: Seconds = seconds(10, 600)

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self.ping_url or self.on_failure or self.apprise)

    def shown(self, name: str) -> Any:
        """A setting's value as it may be shown: of a URL where it leads, of a command its program."""
        value = getattr(self, name)
        if not value:
            return value
        if name == "ping_url":
            return _scheme_and_host(value)
        if name == "on_failure":
            return value if len(value) == 1 else (value[0], _REST)
        return tuple(f"{urlsplit(one).scheme}://{_REST}" for one in value) if name == "apprise" else value
