"""The package's dependencies: their bounds, and the releases that the tests run with."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED = (ROOT / "tests" / "constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in PINNED if not line.startswith("#")]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def needed(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """The requirements of an installed distribution, on this Python and system."""
    for text in metadata.requires(name) or []:
        one = Requirement(text)
        if any(one.marker is None or one.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield one


def everything(name: str, extras: frozenset[str]) -> dict[str, list[Requirement]]:
    """All its dependencies, each distribution with its requirements."""
    found: dict[str, list[Requirement]] = {}
    waiting, seen = [(name, extras)], set()
    while waiting:
        if (this := waiting.pop()) not in seen:
            seen.add(this)
            for one in needed(*this):
                found.setdefault(canonicalize_name(one.name), []).append(one)
                waiting.append((one.name, frozenset(one.extras)))
    return found


class TestTheConstraints:
    def test_they_are_nothing_but_names_and_versions(self):
        wrong = [
            str(pin) for pin in PINS if not re.fullmatch(r"==[\w.+]+", str(pin.specifier)) or pin.url or pin.extras
        ]
        assert wrong == []
        assert not re.search(r"://|--", "\n".join(line for line in PINNED if not line.startswith("#")))

    @pytest.mark.parametrize("python", PYTHONS)
    def test_each_name_has_one_version_on_each_python(self, python):
        here = {"python_version": python, "python_full_version": f"{python}.9"}
        names = [pin.name for pin in PINS if pin.marker is None or pin.marker.evaluate(here)]
        assert len(names) == len(set(names))

    @pytest.mark.skipif(
        any(pin.name == "anyio" and metadata.version("anyio") not in pin.specifier for pin in PINS),
        reason="what is installed was not installed by them, and may ask for more",
    )
    def test_they_pin_all_that_the_tests_install_as_it_is_asked_for(self):
        pinned = {
            canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
            for pin in PINS
            if pin.marker is None or pin.marker.evaluate()
        }
        asked = everything("ingest", frozenset({"test"}))
        asked.pop("ingest", None)  # for its extra `demo`, where the builder leaves that as it is written
        wrong = [str(one) for name, all_of in asked.items() for one in all_of if pinned.get(name) not in one.specifier]
        assert wrong == []
        assert {"polars", "ruff", "botocore", "curl-cffi", "grimp"} <= set(asked)

    def test_the_readmes_line_and_with_it_ci_install_by_them(self):
        (line,) = re.findall(r"^python3 -m venv .*pytest$", (ROOT / "README.md").read_text(), re.MULTILINE)
        assert "-c tests/constraints.txt" in line
        script = (ROOT / ".ci" / "run").read_text()
        (pattern,) = re.findall(r"sed -n 's/(.*)/\\1/p' README\.md", script)
        assert re.fullmatch(re.sub(r"\\([(){}])", r"\1", pattern).replace(r"\/", "/"), line)
        assert "\n.ci/unpinned || true\n" in script
        assert "\n.ci/browser || true\n" in script


class TestThePackage:
    def test_it_says_which_pythons_it_supports(self):
        told = [one for one in metadata.metadata("ingest").get_all("Classifier") or [] if "Python :: 3." in one]
        assert told == [f"Programming Language :: Python :: {python}" for python in PYTHONS]
        assert f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS

    def test_time_zones_come_with_it_on_every_system(self):
        (tzdata,) = [one for one in map(Requirement, metadata.requires("ingest") or []) if one.name == "tzdata"]
        assert tzdata.marker is None

    def test_its_types_are_seen_from_outside(self, tmp_path):
        (tmp_path / "program.py").write_text("import ingest\n\ningest.day\n")
        command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=skip", "--cache-dir=/dev/null"]
        done = subprocess.run([*command, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


COMMANDS = """
import sys
from zoneinfo import TZPATH
from ingest.__main__ import main

assert TZPATH == ()
for words in ("status", "verify", "config show", "track list", "findings", "run --dry-run"):
    sys.argv = ["ingest", *words.split()]
    try:
        main()
    except SystemExit as ended:
        print("ended", ended.code)
"""


def test_no_command_needs_the_time_zones_of_the_system(tmp_path):
    """An empty PYTHONTZPATH stands for a system without /usr/share/zoneinfo."""
    (tmp_path / "config.toml").write_text('[cache]\nroot = "cache"\n[source]\nendpoint_url = "http://127.0.0.1:9"\n')
    (tmp_path / "stocks.txt").write_text("AAPL\n")
    env = {**os.environ, "PYTHONTZPATH": "", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_CONFIG_FILE": "none"}
    command = [sys.executable, "-c", COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    codes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ended")]
    assert codes == ["0", "0", "0", "0", "0", "2"], done.stdout + done.stderr
