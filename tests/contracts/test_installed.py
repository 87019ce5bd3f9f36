"""The wheel, as a user installs it: into an environment of its own, used in an empty folder."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(*command, cwd):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="scripts are elsewhere on Windows")
def test_an_installed_wheel_works_in_an_empty_folder(built, tmp_path):
    wheel, home, empty = next(built.glob("*.whl")), tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    venv.create(home, with_pip=False, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    # The dependencies are this environment's; a path in a .pth file brings no .pth files of its own, so not the clone.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", home / "bin/python", "install", "-q", "--no-deps", "--no-index")
    _run(*pip, "--ignore-installed", wheel, cwd=empty)
    where = _run(home / "bin/python", "-c", "import ingest; print(ingest.__file__)", cwd=empty)
    assert Path(where.strip()).is_relative_to(site)
    assert _run(home / "bin/ingest", "--version", cwd=empty).startswith("ingest ")
    for words in (["--help"], ["demo", "--help"]):
        assert "Usage: ingest" in _run(home / "bin/ingest", *words, cwd=empty)
    assert not list(empty.iterdir())


def test_the_wheel_has_the_package_alone_and_the_source_archive_the_tests_too(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert "ingest/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests/")]
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        assert any(name.endswith("/tests/contracts/test_installed.py") for name in archive.getnames())
