"""Objects with the name of a part that the manifest does not refer to.

Mostly they were replaced, and readers that began before that may still need them; a run removes them some hours later.
Whatever has another name than a part has is not ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ingest.cache.cache import Cache
from ingest.cache.manifest import Held
from ingest.cache.objects.naming import ObjectName
from ingest.cache.parts.store import ListedPart
from ingest.maintenance.verify.evidence import Evidence
from ingest.maintenance.verify.problems import Problem
from ingest.market.datasets import Tier

_DUE = "the manifest does not refer to it; a run removes it"
_UNKNOWN = "not in the manifest: a repair restores it or downloads its session again"


@dataclass(slots=True)
class Unreferenced:
    """`orphans` are problems; `waiting` objects are not: they wait to be removed."""

    keep: timedelta
    orphans: list[Problem] = field(default_factory=list)
    waiting: list[ListedPart] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """How many objects wait to be removed, and how old they are."""
        if not self.waiting:
            return
        oldest = datetime.now(UTC) - min(one.modified for one in self.waiting)
        size, hours = sum(one.size for one in self.waiting), self.keep.total_seconds() / 3600
        told = "1 replaced object waits" if len(self.waiting) == 1 else f"{len(self.waiting):,} replaced objects wait"
        yield (
            f"{told} to be removed ({size:,} bytes, the oldest put {max(0, oldest.total_seconds()) / 3600:.1f} h ago): "
            f"a run removes what was replaced {hours:g} h before"
        )


def find_unreferenced(
    cache: Cache,
    evidence: Evidence,
    referenced: Mapping[Tier, set[str]],
    held: Mapping[date, Held],
    keep: timedelta,
) -> Unreferenced:
    """Objects beside those that are `referenced`, by name; those put less than `keep` ago wait to be removed."""
    found, pruned = Unreferenced(keep), cache.manifest.replacements.pruning() or date.min
    intended = {
        cache.parts.name(record.part(tier))
        for record, _ in cache.manifest.replacements.intents()
        for tier in record.part_sha256
    }
    for tier, listed in evidence.listed.items():
        for name, one in sorted(listed.items()):
            part = ObjectName.parse(name)
            if part is None or name in referenced[tier] or name in intended:
                continue
            if datetime.now(UTC) - one.modified < keep and part.session >= pruned:
                found.waiting.append(one)
            else:
                found.orphans.append(_orphan(f"{cache.parts.place(tier)}/{name}", part.session, held, pruned))
    return found


def _orphan(url: str, session: date, held: Mapping[date, Held], pruned: date) -> Problem:
    state = held.get(session)
    if session < pruned or (state and state.held == "committed"):
        return Problem("orphan", "leftover", url, _DUE)
    return Problem("orphan", "session", url, _UNKNOWN, session)
