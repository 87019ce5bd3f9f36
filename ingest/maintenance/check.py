"""The answer to `ingest check`: each thing that a run needs, checked separately, in the order in which it is needed.

Each check says what it found, or what to fix. A check whose precondition failed (a listing without a connection) is
left out: the one that failed says why.
"""

import os
import shlex
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import anyio

from ingest.cache import lock
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.manifest.file.opening import refuse_network
from ingest.cache.parts import members
from ingest.cache.provenance import refuse_other
from ingest.cache.wholeness import not_whole
from ingest.errors import (
    CacheError,
    CacheLocked,
    Disrupted,
    Forbidden,
    IngestError,
    NotFound,
    SourceError,
    Throttled,
    UnreadableFile,
    UsageError,
)
from ingest.events import ignore
from ingest.files import opening
from ingest.hints import Hint, Message, call
from ingest.maintenance.checked import CacheCheck, Check, Report
from ingest.maintenance.store_check import store_checks
from ingest.market.calendars import today
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.market.permission import REFUSED, Permission, only_copies, plan_name
from ingest.planning.probing import current
from ingest.planning.survey import Listing, asking, fetch_listing
from ingest.settings import Settings
from ingest.sources.base import RemoteObject
from ingest.sources.massive.credentials import odd_kind
from ingest.sources.massive.origins import keys_place, open_to_others, origin_of
from ingest.sources.resilient import ResilientSource

_SKEW_S = 60
"""Seconds by which this computer's clock may be off; S3 refuses requests that are 15 minutes off."""

_IMPATIENT = {"attempts": 2, "down_after_s": 15.0}
"""Waits of a check are shorter than those of a nightly run."""


async def check(settings: Settings, report: Report, datasets: Sequence[Dataset] = (STOCKS_DAY,)) -> None:
    """Run all checks in turn; each result is reported as soon as it is known. Raises no IngestError.

    The checks of the source's files are repeated for each dataset.
    """
    report(_settings(settings))
    report(_cache(settings, datasets))
    for one in await anyio.to_thread.run_sync(store_checks, settings) if settings.cache.archive else ():
        report(one)
    quick = settings.model_copy(update={"source": settings.source.model_copy(update=_IMPATIENT)})
    await _source(quick, datasets, report)
    report(await anyio.to_thread.run_sync(_yahoo) if settings.fallback.enabled else _YAHOO_IS_OFF)


def _settings(settings: Settings) -> Check:
    file = settings.config_file
    others = [f"[{one.section}] {one.name}" for one in settings.each() if "environment" in one.origin]
    found = [str(file) if file else "built-in defaults, no config.toml"]
    if others:
        found.append(f"from the environment {', '.join(others)}")
    return Check("settings", True, "; ".join(found), hints=(call("config show", "to see all of them"),))


def _cache(settings: Settings, datasets: Sequence[Dataset]) -> Check:
    root = settings.cache.root
    try:
        refuse_network(root)
        found = {dataset.short: _health(settings, dataset) for dataset in datasets}
        told = "; ".join(f"{name}: {health.text}" for name, health in found.items())
        health = told if len(found) > 1 else next(iter(found.values())).text
        space = _space(root, health, settings.tuning.little_disk)
        return replace(space, hints=tuple(hint for health in found.values() for hint in health.hints))
    except OSError as error:
        return CacheCheck("cache", False, str(error), "see [cache] root")
    except IngestError as error:
        return CacheCheck("cache", False, error.message, "see [cache] root", hints=error.hints)


def _health(settings: Settings, dataset: Dataset) -> Message:
    """What is stored, and whether its files are there."""
    if not opening.is_there(settings.manifest_path):
        return Message("empty")
    with Cache.read(settings, dataset) as cache:
        refuse_other(cache.manifest, settings.source)
        held, permission = cache.manifest.sessions.all(), cache.manifest.source.permission()
        broken = not_whole(cache, held)
    committed = [day for day, state in held.items() if state.held == "committed"]
    lost = permission.lost(committed)
    found = [f"{len(committed):,} sessions stored"]
    hints: tuple[Hint, ...] = ()
    if broken:
        found += [f"files missing or damaged: {len(broken):,}"]
        purpose = f"to download the {len(broken):,} missing or damaged sessions again"
        hints = (call("run", purpose, settings.run.datasets, dataset=dataset.short),)
    found += [f"older than your subscription allows: {len(lost):,} (back them up)"] if lost else []
    return Message(", ".join(found), hints)


def _space(root: Path, health: str, little: int) -> Check:
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    found = f"{root}: {health}; {free / 1e9:.1f} GB free"
    if not there.is_dir():
        return CacheCheck("cache", False, f"{there} is not a folder", "choose another [cache] root")
    if not os.access(there, os.W_OK):
        return CacheCheck("cache", False, f"{there} cannot be written", "choose another [cache] root, or allow writing")
    if free < little:
        return CacheCheck("cache", False, found, "make room: two years take 0.12 GB, all of the history 1.4 GB")
    return CacheCheck("cache", True, found)


async def _source(settings: Settings, datasets: Sequence[Dataset], report: Report) -> None:
    """All checks that need the source, each as far as the ones before it passed."""
    keys = keys_place(settings.source.profile)
    exposed = [_exposed(file, mode) for file, mode in open_to_others()]
    try:
        async with asking(settings, ignore, anyio.Event()) as source:
            report(Check("keys", True, keys, "; ".join(exposed)))
            await _connected(settings, datasets, source, report)
    except (UsageError, SourceError) as error:
        report(Check("keys", False, "cannot be used", "\n".join([error.message, *exposed])))


def _exposed(file: Path, mode: int) -> str:
    path = shlex.quote(str(file))
    return f"other users of this machine can read the keys in {file} (mode {mode:03o}): chmod 600 {path}"


async def _connected(settings: Settings, datasets: Sequence[Dataset], source: ResilientSource, report: Report) -> None:
    began = time.monotonic()
    try:
        skew = await source.clock_skew(datasets[0].prefix)
        report(Check("connection", True, f"{settings.source.endpoint_url}, {(time.monotonic() - began) * 1e3:.0f} ms"))
    except SourceError as error:
        report(Check("connection", False, str(error), _first_aid(settings, error)))
        return
    report(_clock(skew))
    for dataset in datasets:
        about = partial(_about, dataset, report) if len(datasets) > 1 else report
        await _published(settings, dataset, source, about)


def _about(dataset: Dataset, report: Report, one: Check) -> None:
    """Report a check of one of several datasets."""
    report(replace(one, dataset=dataset.short))


async def _published(settings: Settings, dataset: Dataset, source: ResilientSource, report: Report) -> None:
    """Check what the source has of a dataset, and which part of it is allowed."""
    try:
        listing = await fetch_listing(source, dataset, dataset.first_session, today())
    except SourceError as error:
        report(Check("listing", False, str(error), _first_aid(settings, error)))
        return
    report(_listing(listing))
    if listing:
        await _allowed(settings, dataset, source, listing, report)


def _clock(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", True, "the source does not report its time")
    found = f"this computer's is off by {skew:+.0f} s"
    return Check("clock", abs(skew) <= _SKEW_S, found, "" if abs(skew) <= _SKEW_S else "set this computer's clock")


def _first_aid(settings: Settings, error: SourceError) -> str:
    keys = origin_of(settings.source.profile)
    kind = odd_kind(keys.access_key) if keys else None
    if kind and not error.retryable:
        return kind
    if isinstance(error, Forbidden):
        return "these keys may not list the bucket: check [source] bucket and that you subscribe to flat files"
    if isinstance(error, Throttled):
        return "the source asks for fewer requests: try again later"
    if isinstance(error, Disrupted):
        return "check [source] endpoint_url, proxies in the environment and your internet connection, or try later"
    if isinstance(error, NotFound):
        return "this is not an S3 gateway, or the bucket is missing: check [source] endpoint_url and bucket"
    return ""


def _listing(listing: Listing) -> Check:
    if not listing:
        return Check("listing", False, "no daily file is listed", "see [source] bucket")
    first, last = min(listing), max(listing)
    published = listing[last].last_modified[:16].replace("T", " ")
    return Check("listing", True, f"{len(listing):,} files, {first} to {last}, published {published} UTC")


async def _allowed(
    settings: Settings, dataset: Dataset, source: ResilientSource, listing: Listing, report: Report
) -> None:
    """Check the allowed span, and download one file from it."""
    ordered = {day: listing[day] for day in sorted(listing)}
    try:
        permission = await current(source, ordered, Permission())
        report(_permission(permission, ordered, _held(settings, dataset), dataset))
        await anyio.to_thread.run_sync(_remember, settings, dataset, permission)
        if permission.last:
            newest = max(day for day in ordered if permission.allows(day))
            report(await _download(source, newest, ordered[newest], settings.limits.max_unpacked_bytes))
    except SourceError as error:
        report(Check("download", False, str(error), "try again; see docs/nightly.md"))


def _held(settings: Settings, dataset: Dataset) -> Sequence[date]:
    """Stored sessions; none if the cache cannot be read, which has been reported."""
    with suppress(CacheError, UsageError), Cache.read(settings, dataset) as cache:
        return cache.manifest.sessions.committed()
    return []


def _permission(permission: Permission, listing: Listing, held: Sequence[date], dataset: Dataset) -> Check:
    if permission == Permission():
        return Check("plan", False, "none of the probed files gave an answer", "try again later")
    name = plan_name(permission, today(), min(listing), dataset.plans)
    if permission.first is None:
        return Check("plan", False, name, f"flat files need the Starter subscription or above; a 403 means {REFUSED}")
    lost = permission.lost(held)
    advice = [only_copies(lost, permission)] if lost else []
    advice += [f"the other listed files are {REFUSED}"] if permission.below or permission.above else []
    return Check("plan", True, f"{permission.first} to {permission.last}: {name}", "; ".join(advice))


def _remember(settings: Settings, dataset: Dataset, permission: Permission) -> None:
    """Store the result for the next run, if there is a cache and no run is using it.

    If stored sessions have become the only copy, the next run finds that out and warns once.
    """
    path = settings.manifest_path
    if permission == Permission() or not os.path.exists(path):  # noqa: PTH110 - of a folder that is closed to us it says no
        return
    with (
        suppress(CacheLocked, CacheError, UsageError),
        lock.hold(settings.cache.root),
        for_writing(settings, dataset) as cache,
    ):
        manifest = cache.manifest
        held = manifest.sessions.committed()
        if len(permission.lost(held)) <= len(manifest.source.permission().lost(held)):
            manifest.source.permit(permission)


async def _download(source: ResilientSource, session: date, item: RemoteObject, max_unpacked: int) -> Check:
    began = time.monotonic()
    async with source.watching():
        await source.limit.acquire()
        body = await source.fetch(session, item)
    seconds = time.monotonic() - began
    try:
        with body.open() as file:
            rows = sum(piece.count(b"\n") for piece in members.unpacked(file, max_unpacked, 1 << 20)) - 1
    except UnreadableFile as error:
        return Check("download", False, f"{session}: {error}", "the vendor replaces such files: try again tomorrow")
    return Check("download", True, f"{session}: {rows:,} rows, {body.size / 1e6:.2f} MB in {seconds:.1f} s")


_YAHOO_IS_OFF = Check("yahoo", True, "not asked: [fallback] enabled is false", needed=False)


def _yahoo() -> Check:
    from ingest.sources import yahoo

    try:
        found = f"answers; the newest session of {yahoo.PROBED} is {yahoo.newest_at_yahoo()}"
        return Check("yahoo", True, found, needed=False)
    except SourceError as error:
        advice = "a run goes on without it: only what Massive does not have, and new splits and dividends, have to wait"
        return Check("yahoo", False, str(error), advice, needed=False)
