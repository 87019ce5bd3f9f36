"""Shared by the scripts of the peers of other tools. They import nothing of ours, which would add to their cost."""

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path


def arguments() -> argparse.ArgumentParser:
    """The arguments of such a script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=Path)
    parser.add_argument("tickers", type=Path)
    parser.add_argument("--columns", type=lambda text: text.split(","), required=True)
    parser.add_argument("--sigil", default="")
    parser.add_argument("--minutes", action="store_true")
    parser.add_argument("copy", nargs="+")
    return parser


def folders(cache: Path) -> tuple[Path, Path, Path]:
    """New folders for downloads, the archive and the tracked tickers' files."""
    made = (cache / "downloads", cache / "archive", cache / "tracked")
    for folder in made:
        folder.mkdir()
    return made


def copy(command: Sequence[str], downloads: Path) -> list[Path]:
    """Download; returns the files, oldest first."""
    subprocess.run([*command, f"{downloads}/"], check=True)
    return sorted(downloads.rglob("*.csv.gz"), key=lambda path: path.name)
