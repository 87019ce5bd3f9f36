"""The names of exported files: a template, filled with what the file contains."""

import re
from collections.abc import Mapping
from string import Formatter

from ingest.errors import UsageError, WrongArgument
from ingest.market.adjust import Adjust
from ingest.market.tickers import MAX_NAME_BYTES, file_stem

_ENDS: Mapping[Adjust, str] = {"none": "", "splits": "_splits", "all": "_adjusted"}
"""What a usual name says of the adjustment; prices as traded have the name without an end."""

_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?=\.|$)", re.IGNORECASE)


def checked_template(template: str, own: str | None, are_many: bool) -> None:
    """Raise UsageError if a template is not a file name with some of the fields, if any.

    `own` is the field that distinguishes the files, None if there is only one; it is needed if they `are_many`.
    """
    known = [*([own] if own else []), "interval", "adjust"]
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise WrongArgument("name", f"{template!r}: {error}") from error
    texts, fields = [text for text, *_ in parts], [name for _, name, *_ in parts if name is not None]
    plain = all(not spec and conversion is None for _, name, spec, conversion in parts if name is not None)
    if not plain or not set(fields) <= set(known):
        raise WrongArgument("name", f"{template!r}: the fields are {', '.join(f'{{{one}}}' for one in known)}")
    text = "".join(texts)
    if not template or _FORBIDDEN.search(text) or not text.isprintable() or template.startswith((".", " ")):
        raise WrongArgument("name", f"{template!r}: it must be the name of a file, without a folder and the extension")
    if are_many and own not in fields:
        raise WrongArgument("name", f"{template!r}: without {{{own}}} all files would have one name")


def usual_template(named: Mapping[str, str], adjust: Adjust) -> str:
    """The usual name: `AAPL_1d`, `AAPL_1d_adjusted`, `close_1d` of a wide file, `prices_1d` of a long one."""
    first = next((f"{{{name}}}" for name in ("ticker", "column") if name in named), "prices")
    return f"{first}_{{interval}}{_ENDS[adjust]}"


def file_name(template: str, named: Mapping[str, str], kind: str) -> str:
    """The name of a file of this kind. Raises UsageError if it is too long for a file system."""
    fields = {name: file_stem(value) if name == "ticker" else value for name, value in named.items()}
    stem = template.format_map(fields)
    if device := _DEVICE.match(stem):  # Windows: a device, whatever follows
        stem = f"{device[0]}_{stem[device.end() :]}"
    name = f"{stem}.{kind}"
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UsageError(f"{name[:40]}… is too long for a file name")
    return name
