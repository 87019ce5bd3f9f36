"""All writes go through `ingest.files.durable`, so that a crash leaves no torn file."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "ingest"

# `rename` and `replace` are also methods of frames and strings; tests/kits/disk.py covers those of a run.
WRITING = {"write_bytes", "write_text", "unlink", "mkdir", "rmdir", "touch", "rmtree", "remove", "makedirs"}
ELSEWHERE = {
    "cache/lock.py": "the note of who holds the cache, which decides nothing",
    "cache/objects/": "objects in a bucket",
    "cli/commands/demo/": "the demo's own folder",
    "demo/": "the demo's servers",
    "engines/elsewhere.py": "a list in memory",
    "engines/hand.py": "a worker's folder of its own, gone with the worker",
    "files/batches.py": "files that are replaced together",
    "files/scratch.py": "temporary files, which no crash need keep",
    "files/durable.py": "all that must survive a crash",
}


def writes(file):
    """Names of calls in a file that change the disk, except those of `durable`; a bucket is no disk."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITING:
            owner = ast.unparse(node.func.value).rpartition(".")[2]
            if owner not in {"durable", "tracking", "lists", "batch", "bucket"}:
                yield f"{node.func.attr} in line {node.lineno}"


def test_nothing_writes_past_durable():
    found = {file.relative_to(ROOT).as_posix(): list(writes(file)) for file in sorted(ROOT.rglob("*.py"))}
    past = {name: calls for name, calls in found.items() if calls and not name.startswith(tuple(ELSEWHERE))}
    assert past == {}
    assert found["files/durable.py"]
