"""Where data goes: the section [cache]."""

import os
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from ingest.settings.section import Section
from ingest.settings.sections.store import StoreUrl
from ingest.settings.values import File


def place(folder: Path, path: Path) -> Path:
    """`path`, starting at `folder` unless it is absolute; `..` is resolved textually."""
    # Not Path.resolve: the user's own name for a folder is kept, links included.
    return Path(os.path.normpath(folder / path))


def _overlap(one: Path, other: Path) -> bool:
    # Many file systems treat Data and data as one folder; on the others, refusing it costs nothing.
    one, other = Path(str(one).casefold()), Path(str(other).casefold())
    return one.is_relative_to(other) or other.is_relative_to(one)


class CacheSettings(Section):
    """Where data goes. `root` is absolute in loaded settings; the other folders are relative to it."""

    root: File = Field(default=Path("cache"), description="a folder")
    tracked_dir: File = Field(default=Path("data_cache"), description="a folder, relative to root unless absolute")
    archive_dir: File = Field(
        default=Path("massive_cache"), description="a folder outside tracked_dir, relative to root unless absolute"
    )

    archive: StoreUrl = Field(
        default="", description='the URL of a place in an object store, such as "s3://BUCKET/PREFIX"; or ""'
    )

    @field_validator("archive_dir")
    @classmethod
    def _apart(cls, archive: Path, info: ValidationInfo) -> Path:
        # The parts of both tiers have the same names: in one folder, one would overwrite the other.
        if {"root", "tracked_dir"} <= info.data.keys():
            root, tracked = info.data["root"], info.data["tracked_dir"]
            if _overlap(place(root, tracked), place(root, archive)):
                raise ValueError(f"tracked_dir is {str(tracked)!r}")
        return archive
