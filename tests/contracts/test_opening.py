"""Files of caches and lists are opened by `files.opening`: it never follows, waits for or writes to planted files."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "ingest"

OPENING = {"open", "read_bytes", "read_text", "write_bytes", "write_text", "glob", "rglob", "iterdir"}
OURS = {"Manifest", "Database", "Spool", "cls", "body", "opening", "files", "day_file", "httpx", "store", "webbrowser"}
"""Owners of their own `open`."""

ELSEWHERE = {
    "cache/lock.py": "the lock's own file, which filelock locks",
    "cache/manifest/": "SQLite's files",
    "cache/objects/": "objects in a bucket",
    "cli/commands/demo/": "the demo's own folder",
    "cli/output.py": "standard output",
    "cli/report/page.py": "files of the package",
    "demo/": "the demo's servers",
    "engines/scheduler.py": "the file of a scheduler, which the user names",
    "files/durable.py": "folders, to be synced",
    "files/filesystem.py": "folders, to be synced",
    "files/leftovers.py": "folders, to be locked",
    "files/opening.py": "the opener",
    "files/scratch.py": "folders of temporary files, whose owner is checked",
    "maintenance/adopt/day_file.py": "other tools' files, with flags of its own",
    "market/calendars.py": "tables of the package",
    "settings/loading.py": "config.toml",
    "sources/massive/origins.py": "the keys' file",
}


def opens(file):
    """Calls in a file that open files or list folders directly."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"open in line {node.lineno}"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in OPENING:
            owner = node.func.value  # `body`, or `self.body`
            if getattr(owner, "id", getattr(owner, "attr", None)) not in OURS:
                yield f"{node.func.attr} in line {node.lineno}"


def test_nothing_is_opened_past_the_opener():
    found = {file.relative_to(ROOT).as_posix(): list(opens(file)) for file in sorted(ROOT.rglob("*.py"))}
    past = {name: calls for name, calls in found.items() if calls and not name.startswith(tuple(ELSEWHERE))}
    assert past == {}
    assert all(any(calls for name, calls in found.items() if name.startswith(where)) for where in ELSEWHERE)
