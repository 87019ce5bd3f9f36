"""What a disk may hold after a power failure: a run's recorded operations, and the states that they allow.

The model is POSIX at its strictest. What was fsynced is durable. A change of a folder's entries (create, rename,
unlink, mkdir) is durable once that folder was fsynced; until then any subset of changes may be lost, in any order, each
one wholly or not at all. A file's content is durable once the file was fsynced; until then it may be empty, partial or
whole. A transaction of the manifest is atomic, and durable when it returns (SQLite: WAL with synchronous=FULL).

`Recorder` watches the calls of `os` below a folder, so whatever writes past `ingest.files.durable` is seen as well.
The lock's files decide nothing and are left out; the manifest's are SQLite's own, and are known by their commits.
"""

import itertools
import os
import sqlite3
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from kills import Killed

from ingest.cache.manifest.database import Database
from ingest.cache.manifest.file import schema
from ingest.files import filesystem

MANIFEST = "manifest.sqlite"
FOLDER = "folder"


def _is_nameless(flags):
    """Whether a file is opened without a name (Linux's O_TMPFILE), so that a crash leaves nothing of it."""
    nameless = getattr(os, "O_TMPFILE", 0)
    return bool(nameless) and flags & nameless == nameless


def is_ignored(path):
    return path.name.startswith(("ingest.lock", MANIFEST))


@dataclass(frozen=True, slots=True)
class Op:
    """One operation; `file` is the number of its file, since names change."""

    kind: str
    path: Path | None = None
    file: int | None = None
    data: bytes = b""
    mtime_ns: int = 0
    target: Path | None = None

    def __str__(self):
        names = [path.name for path in (self.path, self.target) if path]
        return " ".join([self.kind, *names])


@dataclass
class Recorder:
    """A folder before a run, and the operations of the run on it, recorded while `watching`."""

    base: Path
    files: dict = field(default_factory=dict)
    """Content and time of the files at the start, by number."""
    entries: dict = field(default_factory=dict)
    """Entries of each folder at the start: name → number of the file, or FOLDER."""
    manifest: bytes | None = None
    ops: list = field(default_factory=list)
    fatal: int | None = None
    """The number of operations after which the process is killed."""

    def __post_init__(self):
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._names = {}
        self._open = {}
        self._written = {}
        for path in [self.base, *sorted(self.base.rglob("*"))]:
            self._find(path)

    def _find(self, path):
        if path.is_dir():
            self.entries[path] = {}
        if path != self.base and not is_ignored(path):
            self.entries[path.parent][path.name] = FOLDER if path.is_dir() else self._number(path)
        if path.name == MANIFEST:
            self.manifest = snapshot(path)

    def _number(self, path):
        number = self._names[path] = next(self._numbers)
        self.files[number] = (path.read_bytes(), path.stat().st_mtime_ns)
        return number

    @contextmanager
    def watching(self):
        """Record until the block is left."""
        replaced = {
            "open": self._opening,
            "close": self._closing,
            "write": self._writing,
            "fsync": self._syncing,
            "replace": self._renaming,
            "rename": self._renaming,
            "unlink": self._unlinking,
            "mkdir": self._making,
        }
        with ExitStack() as patches:
            for name, wrap in replaced.items():
                patches.enter_context(patch.object(os, name, wrap(getattr(os, name))))
            patches.enter_context(patch.object(filesystem, "sync", self._syncing_all))
            patches.enter_context(patch.object(Database, "transaction", self._deciding(Database.transaction)))
            patches.enter_context(patch.object(schema, "migrate", self._migrating(schema.migrate)))
            yield self

    def _concerns(self, path):
        return Path(path).is_relative_to(self.base) and not is_ignored(Path(path))

    def _note(self, kind, path=None, **more):
        self.ops.append(Op(kind, path, **more))

    def _live(self, concerned=True):
        if concerned and self.fatal is not None and len(self.ops) >= self.fatal:
            raise Killed

    def _opening(self, original):
        def opened(path, flags, *more, **named):
            with self._lock:
                self._live(self._concerns(path))
                made = flags & os.O_CREAT and not Path(path).exists()
                descriptor = original(path, flags, *more, **named)
                if made and Path(path).name == MANIFEST and Path(path).is_relative_to(self.base):
                    self._note("create manifest", Path(path))
                elif self._concerns(path):
                    self._opened(Path(path), flags, descriptor, made)
                return descriptor

        return opened

    def _opened(self, path, flags, descriptor, made):
        if _is_nameless(flags):
            return  # gone with its descriptor, and never in a folder: the lock's library tries flock with one
        if made:
            number = self._names[path] = next(self._numbers)
            self._note("create", path, file=number)
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._open[descriptor] = self._names[path]
            if flags & os.O_TRUNC and not made:
                self._note("write", path, file=self._names[path])
            self._written[descriptor] = b""
        elif path.is_dir():
            self._open[descriptor] = path

    def _closing(self, original):
        def close(descriptor):
            with self._lock:
                self._open.pop(descriptor, None)
                original(descriptor)

        return close

    def _writing(self, original):
        def write(descriptor, data):
            with self._lock:
                self._live(descriptor in self._open)
                count = original(descriptor, data)
                if descriptor in self._open:
                    content = self._written[descriptor] = self._written[descriptor] + bytes(data[:count])
                    self._note("write", file=self._open[descriptor], data=content)
                return count

        return write

    def _syncing(self, original):
        def fsync(descriptor):
            with self._lock:
                self._live(descriptor in self._open)
                original(descriptor)
                known = self._open.get(descriptor)
                if isinstance(known, Path):
                    self._note("sync folder", known)
                elif known is not None:
                    self._note("sync", file=known, mtime_ns=os.fstat(descriptor).st_mtime_ns)

        return fsync

    def _syncing_all(self, folder):
        """One sync of the file system: all contents and names below, in any order."""
        with self._lock:
            self._live()
            for path, number in self._names.items():
                self._note("sync", file=number, mtime_ns=path.stat().st_mtime_ns)
            for path in [self.base, *self.base.rglob("*")]:
                if path.is_dir():
                    self._note("sync folder", path)
            return True

    def _renaming(self, original):
        def rename(source, target, **named):
            with self._lock:
                self._live(self._concerns(target))
                original(source, target, **named)
                if self._concerns(target):
                    number = self._names[Path(target)] = self._names.pop(Path(source))
                    self._note("rename", Path(source), file=number, target=Path(target))

        return rename

    def _unlinking(self, original):
        def unlink(path, **named):
            with self._lock:
                self._live(self._concerns(path))
                original(path, **named)
                if self._concerns(path):
                    self._names.pop(Path(path))
                    self._note("unlink", Path(path))

        return unlink

    def _making(self, original):
        def mkdir(path, *more, **named):
            with self._lock:
                self._live(self._concerns(path))
                original(path, *more, **named)
                if self._concerns(path):
                    self._note("mkdir", Path(path))

        return mkdir

    def _deciding(self, original):
        @contextmanager
        def transaction(database):
            self._live()
            with original(database) as db:
                yield db
                self._live()
            self._commit(database.path)

        return transaction

    def _migrating(self, original):
        def migrate(connection, path):
            """Each migration is its own transaction."""
            done, steps = schema.version_of(connection, path), schema.MIGRATIONS
            for number in range(done + 1, len(steps) + 1):
                with patch.object(schema, "MIGRATIONS", steps[:number]):
                    original(connection, path)
                self._commit(path)

        return migrate

    def _commit(self, path):
        if path.is_relative_to(self.base):
            with self._lock:
                self._note("commit", path, data=snapshot(path))


def snapshot(path):
    """The manifest's file after its last commit, including its log."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.serialize()


@dataclass(frozen=True, slots=True)
class State:
    """What the disk may hold after a crash: each path with content and time (None for a folder), and the manifest."""

    after: int
    """How many of the run's operations had begun."""
    tree: frozenset
    manifest: bytes | None
    decided: bool
    """Whether a commit returned, so that the manifest must exist."""

    def build(self, root):
        """Create this state in a new folder, in place of the recorded cache."""
        for path, content, mtime_ns in sorted(self.tree, key=lambda found: found[0]):
            there = root.joinpath(*Path(path).parts[1:])
            if content is None:
                there.mkdir()
            else:
                there.write_bytes(content)
                os.utime(there, ns=(mtime_ns, mtime_ns))
        if self.manifest is not None and root.exists():
            (root / MANIFEST).write_bytes(self.manifest)


class Disk:
    """The durable state of the folder, and its pending changes."""

    def __init__(self, recorded):
        self._base = recorded.base
        self._entries = {folder: dict(names) for folder, names in recorded.entries.items()}
        self._pending = {}
        self._content = dict(recorded.files)
        self._unsynced = {}
        self._manifest = [recorded.manifest]
        self._decided = recorded.manifest is not None
        self._count = 0

    def apply(self, op):
        self._count += 1
        match op.kind:
            case "write":
                self._write(op)
            case "sync":
                self._sync(op)
            case "sync folder":
                for pending in self._pending.pop(op.path, ()):
                    self._entries[op.path] = _applied(self._entries.get(op.path, {}), pending)
            case "create manifest":
                self._manifest = [None, b""]
            case "commit":
                self._manifest, self._decided = [op.data], True
            case _:
                self._pending.setdefault(op.path.parent, []).append(op)
                if op.kind == "create":
                    self._unsynced[op.file] = [b""]

    def _sync(self, op):
        if op.file in self._unsynced:
            self._content[op.file] = (self._unsynced.pop(op.file)[-1], op.mtime_ns)

    def _write(self, op):
        if op.file not in self._unsynced:
            self._unsynced[op.file] = [self._content[op.file][0]]
        self._unsynced[op.file] += [b"", op.data[: len(op.data) // 2], op.data]

    def states(self):
        """All states that the disk may be in now."""
        folders = sorted({*self._entries, *self._pending})
        for chosen in itertools.product(*map(self._maps, folders)):
            yield from self._with_contents(dict(zip(folders, chosen, strict=True)))

    def _maps(self, folder):
        """The entries that a folder may have: with any subset of the pending changes."""
        found = {frozenset(self._entries.get(folder, {}).items())}
        for op in self._pending.get(folder, ()):
            found |= {frozenset(_applied(dict(entries), op).items()) for entries in found}
        return found

    def _with_contents(self, entries):
        visible = dict(self._visible(entries, self._base))
        open_ones = sorted({number for number in visible.values() if number in self._unsynced})
        for contents in itertools.product(*(set(self._unsynced[number]) for number in open_ones)):
            known = self._content | {n: (data, 0) for n, data in zip(open_ones, contents, strict=True)}
            tree = frozenset(
                (str(path.relative_to(self._base)), *((None, 0) if number == FOLDER else known[number]))
                for path, number in visible.items()
            )
            for manifest in self._manifest:
                yield State(self._count, tree, manifest, self._decided)

    def _visible(self, entries, folder):
        for name, number in entries.get(folder, ()):
            yield folder / name, number
            if number == FOLDER:
                yield from self._visible(entries, folder / name)


def _applied(entries, op):
    match op.kind:
        case "create":
            return {**entries, op.path.name: op.file}
        case "mkdir":
            return {**entries, op.path.name: FOLDER}
        case "unlink":
            return {name: number for name, number in entries.items() if name != op.path.name}
        case "rename":
            return {name: number for name, number in entries.items() if name != op.path.name} | {
                op.target.name: op.file
            }
    raise AssertionError(op)


def all_states(recorded, since=0):
    """Every state that a crash may leave at any moment of the recorded run from `since` on, each once."""
    disk, seen = Disk(recorded), {}
    for number, op in enumerate([None, *recorded.ops]):
        if op:
            disk.apply(op)
        for state in disk.states() if number >= since else ():
            seen.setdefault((state.tree, state.manifest), state)
    return list(seen.values())
