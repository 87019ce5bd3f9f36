"""Where lines end on a terminal: between words, never within one, a path or what is in backticks.

Without a terminal nothing is wrapped: a message is a line. Nothing here touches the cache.
"""

import re
import shutil
import sys
from textwrap import wrap

_GLUE = "\N{NO-BREAK SPACE}"


def tell(text: str) -> None:
    """Print a message to stderr; a terminal would break its lines anywhere."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    sys.stderr.write(f"{fitted(text, width)}\n")


def fitted(text: str, width: int | None) -> str:
    """A text whose lines are at most `width` columns wide (None: as they are), unless a word is wider."""
    if width is None or len(text) <= width:
        return text
    lines = (wrapped(line, width) if len(line) > width else [line] for line in text.split("\n"))
    return "\n".join(one for line in lines for one in line)


def wrapped(line: str, width: int) -> list[str]:
    """The lines of a text; none of them breaks a word, or what is in backticks."""
    whole = re.sub("`[^`]*`", lambda quoted: quoted[0].replace(" ", _GLUE), line)
    indent = whole[: len(whole) - len(whole.lstrip())]
    lines = wrap(whole, max(width, 1), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [one.replace(_GLUE, " ") for one in lines]
