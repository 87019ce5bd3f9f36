"""Tickers: how one becomes a file name and back. Pure.

Case counts in tickers (`TpC` and `TPC` exist at the same time) but not in many file systems, and a ticker from outside
may contain anything. A file name therefore contains only ASCII letters, digits and `. - _ %`, and two tickers never
share one, with or without case.
"""

import re

from ingest.errors import UsageError

MAX_NAME_BYTES = 255

# What Windows treats as a device, whatever follows the first dot; its COM¹ and CONIN$ never survive the encoding.
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])\.")
_CODE = re.compile(r"[A-Z0-9.-]|_[a-z]|(?:%[0-9A-F]{2})+")
_CODES = re.compile(rf"(?:{_CODE.pattern})+")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")


def file_stem(ticker: str) -> str:
    """`BACpL` → `BAC_pL`, `O:SPY` → `O%3ASPY`, `CON.A` → `CON%2EA`: ASCII, reversible, unique even without case.

    Raises UsageError for a ticker that is empty or not valid Unicode (a lone surrogate).
    """
    if not ticker:
        raise UsageError("an empty ticker cannot be stored")
    stem = "".join(map(_encoded, ticker))
    device = _DEVICE.match(stem)
    # A leading dot would hide the file, and macOS treats `._` as the companion of another file.
    dot = 0 if stem.startswith(".") else device.end() - 1 if device else -1
    return stem if dot < 0 else f"{stem[:dot]}%2E{stem[dot + 1 :]}"


def ticker_of(stem: str) -> str:
    """The ticker whose `file_stem` this is. Raises UsageError if there is none."""
    try:
        ticker = "".join(map(_decoded, _CODE.findall(stem))) if _CODES.fullmatch(stem) else ""
    except UnicodeDecodeError:
        ticker = ""
    # Only what file_stem would write counts: `%41` also spells A, but no file here has that name.
    if not ticker or file_stem(ticker) != stem:
        raise UsageError(f"{stem!r} is not the file name of a ticker")
    return ticker


def _encoded(char: str) -> str:
    if char in _PLAIN:
        return char
    if char in _LOWER:
        return f"_{char}"
    try:
        return "".join(f"%{byte:02X}" for byte in char.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"a ticker with the character {char!a}, which is not text, cannot be stored") from error


def _decoded(code: str) -> str:
    if code[0] == "%":
        return bytes.fromhex(code.replace("%", "")).decode()
    return code.removeprefix("_")
