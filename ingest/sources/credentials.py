"""Where the keys are kept, and whether they look like those of flat files."""

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

_ODD: Mapping[str, str] = {
    r"(AKIA|ASIA)[A-Z0-9]{16}": "the access key looks like one of AWS itself: take the S3 keys of Massive's dashboard",
    r"[A-Za-z0-9_]{32}": "the access key looks like the key of the REST API: flat files have an access key of their "
    "own, beside the secret key, in the S3 part of Massive's dashboard",
}
"""Shapes of access keys that are none of flat files, with what to do: a guess, made only where keys are refused."""


def credentials_file() -> Path:
    """The file that botocore reads profiles from."""
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def odd_kind(profile: str) -> str | None:
    """What a profile's access key looks like, where that is not what flat files need; the key itself is never told."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(credentials_file(), encoding="utf-8")
        key = parser.get(profile, "aws_access_key_id", fallback="")
    except (configparser.Error, UnicodeDecodeError):
        return None
    return next((advice for shape, advice in _ODD.items() if re.fullmatch(shape, key)), None)
