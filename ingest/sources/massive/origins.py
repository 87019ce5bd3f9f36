"""Where the keys come from, in the order in which places are asked, and what is wrong with keys that cannot be right.

1. MASSIVE_S3_ACCESS_KEY and MASSIVE_S3_SECRET_KEY, which are nobody else's;
2. the profile that the settings name, if either of the AWS files has a section for it;
3. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), unless the settings name a profile of their own.

So the keys of another cloud, which these variables often hold, never win over a profile. The first place that has
anything counts: half a pair there is an error, and no reason to look further. An empty variable counts as not set.
Nothing here writes to disk.
"""

import configparser
import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import UsageError
from ingest.hints import call
from ingest.settings import SourceSettings

OWN_VARIABLES = ("MASSIVE_S3_ACCESS_KEY", "MASSIVE_S3_SECRET_KEY")
_OWN = (*OWN_VARIABLES, "")
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_IN_FILES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

_OTHERS = 0o066
"""Mode bits that let others than the owner read or write a file."""

_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_COMMENT = re.compile(r"\s[#;]")


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that has keys, or says who supplies them.

    `place` names it to a reader; `names` are those of access key, secret key and token in it, and `values` what it has
    under them. `section` is that of a file; empty for the environment.
    """

    place: str
    names: tuple[str, str, str]
    values: Mapping[str, str] = field(repr=False)
    section: str = ""

    @property
    def access_key(self) -> str:
        """The access key; empty where a program or a service supplies it."""
        return self.values.get(self.names[0], "")

    @property
    def half(self) -> bool:
        """Whether it has one of the two keys alone."""
        return len([name for name in self.names[:2] if self.values.get(name)]) == 1

    @property
    def where(self) -> str:
        """The place in a sentence."""
        return self.place if self.section else f"{self.names[0]} and {self.names[1]} in the environment"

    def pair(self) -> tuple[str, str, str | None]:
        """Access key, secret key and token."""
        access, secret, token = (self.values.get(name, "") for name in self.names)
        return access, secret, token or None


def origin_of(profile: str) -> Origin | None:
    """The first place that has keys, or says who supplies them; None if there is none."""
    usual = SourceSettings.model_fields["profile"].default
    return _environment(_OWN) or _profile(profile) or (_environment(_AWS) if profile == usual else None)


def _environment(names: tuple[str, str, str]) -> Origin | None:
    values = {name: os.environ[name] for name in names if os.environ.get(name)}
    return Origin("the environment", names, values) if values.keys() & set(names[:2]) else None


def has_section(profile: str) -> bool:
    """Whether one of the AWS files knows a profile."""
    return _profile(profile) is not None


def _profile(profile: str) -> Origin | None:
    for file, name in ((credentials_file(), [profile]), (_config_file(), ["profile", profile])):
        if values := _section(file, name):
            return Origin(f"[{profile}] in {file}", _IN_FILES, values, profile)
    return None


def keys_place(profile: str) -> str:
    """Where the keys come from, or where they should be."""
    found = origin_of(profile)
    return found.where if found else f"[{profile}] in {credentials_file()}"


def refuse_flawed(origin: Origin) -> None:
    """Raise UsageError, which names the place and the cause, for half a pair or a key that was copied badly."""
    if origin.half and not origin.section:  # of a file, botocore may find the other half elsewhere
        raise half_a_pair(origin)
    flaws = [(name, flaw) for name in origin.names[:2] for flaw in _flaws(origin, name)]
    if flaws:
        name, flaw = flaws[0]
        raise UsageError(f"{name} in {origin.place} has {flaw}")


def half_a_pair(origin: Origin) -> UsageError:
    """What to say where one of the two keys is missing."""
    there, missing = sorted(origin.names[:2], key=lambda name: not origin.values.get(name))
    return UsageError(f"{there} is set in {origin.place}, but {missing} is not: set both; they belong together")


def _flaws(origin: Origin, name: str) -> Iterator[str]:
    """What copying or quoting made of a key; a secret key of a gateway may have blanks inside."""
    key = origin.values.get(name, "")
    if key.strip()[:1] in _QUOTES and key.strip()[-1:] in _QUOTES and key.strip():
        yield "quotes around the key: write it without them"
    if key != key.strip():
        yield "a blank or line end before or after the key: remove it"
    if _COMMENT.search(key):
        yield "a comment behind the key: put it on a line of its own"
    if name == origin.names[0] and re.search(r"\s", key):
        yield "a blank inside the key: copy the key again"


def no_keys(profile: str) -> UsageError:
    """What to say where no place has keys; it names those that lie next to it."""
    usual = SourceSettings.model_fields["profile"].default
    lines = [f"no keys under [{profile}] in {credentials_file()}"]
    if profile != "default" and _section(credentials_file(), ["default"]).get(_IN_FILES[0]):
        lines[0] += (
            f", but there are some under [default]. If those are the S3 keys of Massive, rename that section to "
            f'[{profile}], or set [source] profile = "default"; if not, write'
        )
    elif _environment(_AWS) and profile != usual:
        lines[0] += f", and {_AWS[0]} does not count where [source] names a profile. Write"
    else:
        lines[0] += ". Write"
    lines[0] += " the S3 keys of your Massive dashboard there:"
    lines += [f"  [{profile}]", "  aws_access_key_id = YOUR_ACCESS_KEY", "  aws_secret_access_key = YOUR_SECRET_KEY"]
    lines += [f"or set {_OWN[0]} and {_OWN[1]} in the environment, or name another profile in [source] profile"]
    return UsageError("\n".join(lines), call("demo", "to try it without keys"))


def credentials_file() -> Path:
    """The file from which botocore first reads the keys of profiles; keys should be written to it."""
    return _expanded("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")


def _config_file() -> Path:
    return _expanded("AWS_CONFIG_FILE", "~/.aws/config")


def _expanded(variable: str, default: str) -> Path:
    named = Path(os.environ.get(variable) or default)
    try:
        return named.expanduser()
    except RuntimeError:  # the home folder of a user who does not exist
        return named


def open_to_others() -> Sequence[tuple[Path, int]]:
    """Files with keys that other users may read or change, each with its mode; none on Windows, which has no modes."""
    modes = [(file, _mode(file)) for file in (credentials_file(), _config_file()) if _has_keys(file)]
    return [(file, mode) for file, mode in modes if mode & _OTHERS and os.name != "nt"]


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def _has_keys(file: Path) -> bool:
    try:
        return b"aws_secret_access_key" in file.read_bytes()
    except OSError:
        return False


def _section(file: Path, name: Sequence[str]) -> Mapping[str, str]:
    """A section of an INI file by its words; empty if there is none, or the file cannot be read.

    In the config file a section is named `profile massive`, in quotes if need be; `default` stands alone, too.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
        found = (one for one in parser.sections() if one == name[-1] == "default" or _words(one, name) == list(name))
        return dict(parser[next(found)])
    except (configparser.Error, UnicodeDecodeError, OSError, StopIteration):
        return {}


def _words(section: str, like: Sequence[str]) -> Sequence[str]:
    if len(like) == 1:
        return [section]
    try:
        return shlex.split(section)
    except ValueError:  # a quote without an end
        return []
