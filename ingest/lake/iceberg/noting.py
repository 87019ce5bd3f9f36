"""What the last update of a table has left beside it, so that a run with nothing to do needs no library to see that.

It is no truth: without it, or if anything differs from it, the table itself is looked at.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Self

from ingest.files import durable, opening
from ingest.lake.iceberg.catalog import registered
from ingest.lake.iceberg.naming import DataName, Goal, TableFolder, is_configured, known_again_by


@dataclass(frozen=True, slots=True)
class Noted:
    """The table when it was up to date: the `contents` of its goal, and the URL of its `metadata`.

    That file had `size` bytes, and `sessions` says what each session was made of (None: not known). `data` are the data
    files beside it, each with its size and when it was changed; `lists` are the other files of metadata that its newest
    snapshot needs, with sizes. All sizes are in bytes.
    """

    contents: str = ""
    metadata: str = ""
    size: int = -1
    sessions: Mapping[str, str] | None = None
    lists: Mapping[str, int] | None = None
    data: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: TableFolder) -> Self:
        """That of a folder; an empty one if there is none, or if it cannot be read."""
        try:
            found = json.loads(opening.read(folder.noted))
            told = str(found["contents"]), str(found["metadata"]), int(found["size"])
            sessions = {date.fromisoformat(day).isoformat(): str(made_of) for day, made_of in found["sessions"].items()}
            data = {name: (int(size), int(time)) for name, (size, time) in found.get("data", {}).items()}
            return cls(*told, sessions, {**found["lists"]}, data)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
            return cls()

    def write(self, folder: TableFolder) -> None:
        """Leave it in a folder. Raises CacheError."""
        durable.make_folder(folder.root)
        durable.put(folder.noted, json.dumps(asdict(self)).encode())

    def sessions_after(self, goal: Goal) -> Mapping[str, str]:
        """What the sessions are made of once a goal is reached."""
        kept = {day: made_of for day, made_of in (self.sessions or {}).items() if _is_kept(day, goal)}
        return kept | dict(goal.sessions)

    def changed(self, goal: Goal) -> list[date]:
        """The sessions in which a goal differs from it, ascending."""
        before, after = self.sessions or {}, self.sessions_after(goal)
        return sorted(date.fromisoformat(day) for day in {*before, *after} if before.get(day) != after.get(day))

    def is_up_to_date(self, folder: TableFolder, goal: Goal, catalog: str) -> bool:
        """Whether the table is sure to be as a goal has it. Of a catalog that is elsewhere nothing is sure."""
        if is_configured(catalog) or not self.metadata or self.contents != goal.contents:
            return False
        if not self.metadata.startswith(f"{folder.location}/") or registered(folder, catalog) != self.metadata:
            return False
        metadata = folder.local(self.metadata)
        if metadata is None or not opening.has_size(metadata, self.size):
            return False
        lists = {metadata.with_name(name): size for name, size in (self.lists or {}).items()}
        return all(opening.has_size(file, size) for file, size in lists.items()) and self._has_files(folder, goal)

    def _has_files(self, folder: TableFolder, goal: Goal) -> bool:
        """Whether the data file of each version is as it was left, and is the lake's file where it was that."""
        parsed = filter(None, map(DataName.parse, self.data))
        names = {(one.partition, one.made_of): str(one) for one in parsed}
        for partition, version in goal.versions.items():
            name = names.get((partition, version.made_of))
            if name is None or known_again_by(path := folder.path / "data" / name) != self.data[name]:
                return False
            if name == version.name and not version.is_at(path):
                return False
        return True


def _is_kept(day: str, goal: Goal) -> bool:
    return day in goal.keep or day[:7] in goal.keep
