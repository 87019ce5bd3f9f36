"""The wheel, as a user installs it: into an environment of its own, used in an empty folder."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import trove_classifiers
from packaging.metadata import Metadata

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
    _run(home / "bin/ingest", "init", "--here", "--yes", "--no-check", cwd=empty)
    assert _run(home / "bin/ingest", "config", "path", cwd=empty).strip() == str(empty / "config.toml")
    assert {path.name for path in empty.iterdir()} == {"config.toml", "stocks.txt"}


@pytest.fixture(scope="module", params=["wheel", "source archive"])
def core_metadata(request, built):
    """The metadata of what is published, as an index reads it; raises for what an index would refuse."""
    if request.param == "wheel":
        with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
            (name,) = [one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")]
            return Metadata.from_email(wheel.read(name), validate=True)
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        (name,) = [one for one in archive.getnames() if one.count("/") == 1 and one.endswith("/PKG-INFO")]
        return Metadata.from_email(archive.extractfile(name).read(), validate=True)


def test_an_index_would_take_the_metadata(core_metadata):
    assert core_metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert core_metadata.description_content_type.startswith("text/markdown")
    assert [one for one in core_metadata.classifiers if one not in trove_classifiers.classifiers] == []
    assert (core_metadata.license_expression, core_metadata.author) == ("MIT AND Apache-2.0", "The ingest developers")
    minors = [int(one.rpartition(".")[2]) for one in core_metadata.classifiers if re.search(r":: 3\.\d+$", one)]
    assert [minor for minor in range(8, max(minors) + 1) if f"3.{minor}" in core_metadata.requires_python] == minors


def test_the_wheel_has_the_package_alone_and_the_source_archive_the_tests_too(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert "ingest/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests/")]
    there = [path for path in (ROOT / "ingest").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in there if path.relative_to(ROOT).as_posix() not in names] == []
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        assert any(name.endswith("/tests/contracts/test_installed.py") for name in archive.getnames())
