"""Processes that may read but not write: another user's, or our own with write-protected files."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534
HOW = ("another user", "closed to writing")
"""The first needs root to become another user; the second works for everyone."""


BECOME = f"import os; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"


class Reader:
    """Runs Python with permission to read a folder, but not to write there."""

    def __init__(self, how):
        self._how = how
        self._prefix, self._become = [], ""
        is_root = os.geteuid() == 0
        if how == "another user":
            if not is_root:
                pytest.skip("only root may become another user")
            self._become = BECOME
        elif is_root:
            without = "-dac_override,-dac_read_search,-fowner"
            self._prefix = [shutil.which("setpriv") or "setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]
            if not shutil.which("setpriv") or subprocess.run([*self._prefix, "true"], capture_output=True).returncode:
                pytest.skip("root passes modes by, and may not give that right up here")

    @property
    def is_another(self):
        return bool(self._become)

    def close(self, folder):
        """Remove this reader's write permission below a folder."""
        for path in [folder, *folder.rglob("*")]:
            if self._how == "another user":
                path.chmod(0o755 if path.is_dir() else 0o644)
            else:
                path.chmod(0o555 if path.is_dir() else 0o444)

    def python(self, imports, script, *arguments, **named):
        """Start Python; `imports` run with our own permissions, since root's Python is closed to others."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-W", "error", "-c", f"{imports}\n{self._become}{script}", *map(str, arguments)]
        return subprocess.Popen([*self._prefix, *command], cwd="/", text=True, **pipes, **named)

    def said(self, imports, script, *arguments, **named):
        """The JSON that a script prints."""
        process = self.python(imports, script, *arguments, **named)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out)


def readable_folder():
    """A new folder that other users may enter; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-test-"))
    folder.chmod(0o755)
    return folder


def remove(folder):
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)
