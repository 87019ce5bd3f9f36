"""How keys are kept out of messages, and which shapes of keys are not those of flat files."""

import re
from collections.abc import Collection, Mapping
from typing import Any

_ODD: Mapping[str, str] = {
    r"(AKIA|ASIA)[A-Z0-9]{16}": "the access key looks like an AWS key: use the S3 keys from the Massive dashboard",
    r"[A-Za-z0-9_]{32}": "the access key looks like the key of the REST API: flat files have an access key of their "
    "own, beside the secret key, in the S3 part of Massive's dashboard",
}
"""Shapes of access keys that are not for flat files, with advice: a guess, made only if the keys are refused."""

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}|Signature=[0-9a-fA-F]+|Credential=[^\s,<&]+|AWS4-HMAC-SHA256[^<\r\n]*")
"""The signature of a request; S3 repeats it in its answer if it is wrong."""

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


def odd_kind(access_key: str) -> str | None:
    """What an access key looks like, if it is not a flat-file key; the key itself is never shown."""
    return next((advice for shape, advice in _ODD.items() if re.fullmatch(shape, access_key)), None)
