"""Which objects of a dataset's parts are garbage: a decision without I/O.

An object is garbage once no session, and no replacement under way, has referred to it for as long as replaced versions
are kept. That time counts from the first run that found it unwanted. How old the object is would say nothing: it may
have been put a year ago, and replaced a minute ago. All times are of the store's clock, so those of the computers that
read and write do not matter. Should the store's clock itself leap, garbage goes too early or too late, and what a
session refers to stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ingest.cache.objects.listing import Stored
from ingest.cache.objects.naming import session_in


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run saw at its start, of the parts of one `dataset`.

    `listed` are the objects below their folders, `wanted` the names that sessions and replacements under way refer to,
    `unwanted` the names that earlier runs found without such a reference, and since when. `now` is the store's time
    before the objects were listed.
    """

    dataset: str
    listed: Mapping[str, Stored]
    wanted: Collection[str]
    unwanted: Mapping[str, datetime]
    now: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be recorded, and the `garbage` that is to be removed after that.

    `unwanted` are all objects without a reference, and since when; `wanted` those that have one again; `gone` those
    that are no longer there.
    """

    unwanted: Mapping[str, datetime] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    garbage: tuple[Stored, ...] = ()


def decide(seen: Seen, keep: timedelta, spared: Collection[date]) -> Decision:
    """Divide the objects into wanted, unwanted and garbage; names that are not those of parts are left alone.

    Nothing is removed of the sessions in `spared`, which the run is about to download: it may get the very bytes of a
    version that was replaced, and find them in the store. Neither of sessions of which a part that they refer to is
    missing: another version may be all that is left.
    """
    sessions = {name: session for name in seen.listed if (session := session_in(name, seen.dataset))}
    strays = sessions.keys() - set(seen.wanted)
    # A clock that was ahead, and was set back, would else keep an object until it is there again.
    since = {name: min(seen.unwanted.get(name, seen.now), seen.now) for name in sorted(strays)}
    kept = {*spared, *(session_in(name, seen.dataset) for name in seen.wanted if name not in seen.listed)}
    due = seen.now - keep
    garbage = (seen.listed[name] for name in since if since[name] <= due and sessions[name] not in kept)
    return Decision(
        unwanted=since,
        wanted=frozenset(seen.unwanted.keys() & set(seen.wanted)),
        gone=frozenset(seen.unwanted.keys() - seen.listed.keys() - set(seen.wanted)),
        garbage=tuple(one for one in garbage if one.modified <= due),
    )
