"""A bucket in memory, which keeps its conditions as object stores do; calls can be made to fail before or after."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ingest.cache.objects.listing import Stored
from ingest.errors import Superseded

_numbers = count(1)
_known: WeakValueDictionary[int, "MemoryBucket"] = WeakValueDictionary()


def _again(number: int) -> "MemoryBucket":
    return _known[number]


def _nothing(call: str, name: str) -> None:
    pass


@dataclass
class MemoryBucket:
    """Several machines may share `objects`; `before` and `after` get each call that writes, and may raise.

    `clock` is the store's. A pickled one is the same store in this process.
    """

    objects: dict[str, tuple[bytes, Stored]] = field(default_factory=dict)
    url: str = "s3://bucket/prefix"
    before: Callable[[str, str], None] = _nothing
    after: Callable[[str, str], None] = _nothing
    calls: list[str] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __reduce__(self) -> Any:
        _known[id(self)] = self
        return _again, (id(self),)

    def put_new(self, name: str, data: bytes | Path, sha256: str) -> Stored:
        content = data.read_bytes() if isinstance(data, Path) else data
        assert hashlib.sha256(content).hexdigest() == sha256
        if name in self.objects:
            assert self.objects[name][0] == content
            return self.objects[name][1]
        return self._put("put_new", name, content)

    def put_over(self, name: str, data: bytes, etag: str | None) -> Stored:
        self.before("put_over", name)
        if (self.objects[name][1].etag if name in self.objects else None) != etag:
            raise Superseded(name)
        return self._put("put_over", name, data)

    def get(self, name: str) -> tuple[bytes, Stored]:
        self.calls.append(f"get {name}")
        if name not in self.objects:
            raise FileNotFoundError(name)
        return self.objects[name]

    def ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.get(name)[0][begin:end] for begin, end in ranges]

    def head(self, name: str) -> Stored:
        return self.get(name)[1]

    def listing(self, folder: str = "") -> Iterator[Stored]:
        return iter([stored for name, (_, stored) in sorted(self.objects.items()) if name.startswith(f"{folder}/")])

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.before("remove", name)
            self.calls.append(f"remove {name}")
            self.objects.pop(name, None)

    def described(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _put(self, call: str, name: str, content: bytes) -> Stored:
        if call != "put_over":
            self.before(call, name)
        self.calls.append(f"{call} {name}")
        stored = Stored(name, len(content), f'"{next(_numbers)}"', self.clock())
        self.objects[name] = content, stored
        self.after(call, name)
        return stored
