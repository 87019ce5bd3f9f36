"""Where the keys are kept, whether they look like those of flat files, and how they stay out of what is said."""

import configparser
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

_ODD: Mapping[str, str] = {
    r"(AKIA|ASIA)[A-Z0-9]{16}": "the access key looks like an AWS key: use the S3 keys from the Massive dashboard",
    r"[A-Za-z0-9_]{32}": "the access key looks like the key of the REST API: flat files have an access key of their "
    "own, beside the secret key, in the S3 part of Massive's dashboard",
}
"""Shapes of access keys that are none of flat files, with what to do: a guess, made only where keys are refused."""

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}|Signature=[0-9a-fA-F]+|Credential=[^\s,<&]+|AWS4-HMAC-SHA256[^<\r\n]*")
"""What a request is signed with; answers of S3 to a wrong signature repeat it."""

_OTHERS = 0o066
"""Bits of a mode by which others than a file's owner read or write it."""

_HIDDEN = "(not shown)"
_SHORTEST = 8
"""Characters of a key; what is shorter would take letters out of ordinary words."""


def secrets_of(keys: Any) -> Collection[str]:
    """Access key, secret key and token as botocore holds them, without asking for others where these have expired."""
    held = {name.strip("_"): str(value) for name, value in vars(keys).items()}
    found = (held.get(name, "") for name in ("access_key", "secret_key", "token"))
    return [secret for secret in found if len(secret) >= _SHORTEST]


def hidden(text: str, secrets: Collection[str]) -> str:
    """A text without keys and signatures."""
    for secret in secrets:
        text = re.sub("".join(map(_spellings, secret)), _HIDDEN, text, flags=re.IGNORECASE)
    return _SIGNATURE.sub(_HIDDEN, text)


def _spellings(char: str) -> str:
    """A character as pages write it: as it is, or escaped for an address, for HTML or for JSON."""
    return rf"(?:\\?{re.escape(char)}|%{ord(char):02x}|&#{ord(char)};|&#x{ord(char):x};)"


def credentials_file() -> Path:
    """The file that botocore reads the keys of profiles from first; it is the one to write them to."""
    return _expanded("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")


def _config_file() -> Path:
    return _expanded("AWS_CONFIG_FILE", "~/.aws/config")


def _expanded(variable: str, default: str) -> Path:
    named = Path(os.environ.get(variable) or default)
    try:
        return named.expanduser()
    except RuntimeError:  # the home of a user that there is not
        return named


def keys_file(profile: str) -> Path:
    """The file that says where a profile's keys are, be it the keys themselves or a program that tells them."""
    if not _section(credentials_file(), profile) and _section(_config_file(), f"profile {profile}"):
        return _config_file()
    return credentials_file()


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


def odd_kind(profile: str) -> str | None:
    """What a profile's access key looks like, where that is not what flat files need; the key itself is never told."""
    section = _section(credentials_file(), profile) or _section(_config_file(), f"profile {profile}")
    key = section.get("aws_access_key_id", "")
    return next((advice for shape, advice in _ODD.items() if re.fullmatch(shape, key)), None)


def _section(file: Path, name: str) -> Mapping[str, str]:
    """A section of an INI file; empty where there is none, or the file cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    return dict(parser[name]) if parser.has_section(name) else {}
