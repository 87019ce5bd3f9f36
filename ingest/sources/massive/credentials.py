"""Where the keys are stored, whether they look like flat-file keys, and how they are kept out of messages."""

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
"""Shapes of access keys that are not for flat files, with advice: a guess, made only if the keys are refused."""

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}|Signature=[0-9a-fA-F]+|Credential=[^\s,<&]+|AWS4-HMAC-SHA256[^<\r\n]*")
"""The signature of a request; S3 repeats it in its answer if it is wrong."""

_OTHERS = 0o066
"""Mode bits that let others than the owner read or write a file."""

_HIDDEN = "(not shown)"
_SHORTEST = 8
"""Minimum length of a key; anything shorter would remove letters from ordinary words."""


def secrets_of(keys: Any) -> Collection[str]:
    """Access key, secret key and token as botocore holds them, without requesting new ones if these have expired."""
    held = {name.strip("_"): str(value) for name, value in vars(keys).items()}
    found = (held.get(name, "") for name in ("access_key", "secret_key", "token"))
    return [secret for secret in found if len(secret) >= _SHORTEST]


def hidden(text: str, secrets: Collection[str]) -> str:
    """A text without keys and signatures."""
    for secret in secrets:
        text = re.sub("".join(map(_spellings, secret)), _HIDDEN, text, flags=re.IGNORECASE)
    return _SIGNATURE.sub(_HIDDEN, text)


def _spellings(char: str) -> str:
    """A character as pages write it: plain, or escaped for a URL, HTML or JSON."""
    return rf"(?:\\?{re.escape(char)}|%{ord(char):02x}|&#{ord(char)};|&#x{ord(char):x};)"


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


def keys_file(profile: str) -> Path:
    """The file that says where a profile's keys are, whether it has the keys or names a program that supplies them."""
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
    """What a profile's access key looks like, if it is not a flat-file key; the key itself is never shown."""
    section = _section(credentials_file(), profile) or _section(_config_file(), f"profile {profile}")
    key = section.get("aws_access_key_id", "")
    return next((advice for shape, advice in _ODD.items() if re.fullmatch(shape, key)), None)


def _section(file: Path, name: str) -> Mapping[str, str]:
    """A section of an INI file; empty if there is none, or the file cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    return dict(parser[name]) if parser.has_section(name) else {}
