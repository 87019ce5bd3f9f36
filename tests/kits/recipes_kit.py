"""A cache as a user of docs/recipes.md has it, and the code blocks of that page.

The cache holds a year that ends with the newest session: some tickers that are tracked, a small market that is not.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_kit import COMMAND, HEADER, MARKET
from reading_kit import walk
from yahoo_kit import Security, past_sessions

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
DAYS = past_sessions(252)
SPLIT = DAYS[120]
TRACKED = ("AAPL", "BRK.B", "MSFT", "SPY")


def _securities() -> dict[str, Security]:
    """AAPL splits four for one; three of them pay dividends; BRK.B does not trade on two days."""
    paid = dict.fromkeys(DAYS[20::63], 0.25)
    every = {
        "AAPL": Security(walk(DAYS, 800.0, 50_000, {SPLIT: (4, 1)}), {SPLIT: (4, 1)}, dict(paid)),
        "MSFT": Security(walk(DAYS, 400.0, 40_000), {}, dict(paid)),
        "SPY": Security(walk(DAYS, 600.0, 90_000, step=0.83), {}, dict(paid)),
        "BRK.B": Security(walk([*DAYS[:200], *DAYS[202:]], 500.0, 20_000)),
    }
    for one in every.values():  # as the vendor writes volumes since February 2026
        one.bars = {day: (*bar[:4], bar[4] + 0.25) for day, bar in one.bars.items()}
    return every


SECURITIES = _securities()


def text_of(day) -> bytes:
    """The day's file: our securities among the tickers of the demo's market, one of them twice."""
    others = [line for line in MARKET.day(day).decode().splitlines()[1:] if line.partition(",")[0] not in SECURITIES]
    ours = []
    for ticker, one in SECURITIES.items():
        if bar := one.bars.get(day):
            opened, high, low, close, volume = bar
            ours.append(f"{ticker},{volume},{opened},{close},{high},{low},1,7")
    lines = sorted([*others, others[-1], *ours], key=lambda line: line.partition(",")[0].encode())
    return "\n".join([HEADER, *lines, ""]).encode()


@dataclass(frozen=True, slots=True)
class Recipe:
    """A section's blocks, in their order: the language and the text of each."""

    blocks: tuple[tuple[str, str], ...]

    def run(self) -> dict[str, Any]:
        """Run the commands of ingest and the Python as they stand; returns the names that the Python leaves."""
        names: dict[str, Any] = {"__name__": "__main__"}
        for language, text in self.blocks:
            if language == "sh":
                _commands(text)
            elif language == "python":
                exec(compile(text, "recipes.md", "exec"), names)
        return names

    def text(self, language: str) -> str:
        """The only block in a language."""
        (found,) = [text for one, text in self.blocks if one == language]
        return found


def _commands(text: str) -> None:
    for line in text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "ingest", line
        assert not COMMAND(arguments, standalone_mode=False), line


def blocks(title: str) -> tuple[tuple[str, str], ...]:
    sections = dict(re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))
    return tuple(re.findall(r"^```(\w+)\n(.*?)^```$", sections[title], re.DOTALL | re.MULTILINE))
