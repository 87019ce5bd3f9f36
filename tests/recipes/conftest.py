"""The cache that recipes run on. Its source, an S3 server on loopback, and a Yahoo beside it keep running."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_kit import SAME, Place, key, pack, write_keys
from recipes_kit import DAYS, SECURITIES, TRACKED, Recipe, blocks, text_of
from yahoo_kit import yahoo

from ingest.demo.servers import loopback


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with config.toml and a cache that a run has filled."""
    folder = tmp_path_factory.mktemp("recipes")
    write_keys(folder / "credentials")
    at_yahoo = {name.replace(".", "-"): one for name, one in SECURITIES.items()}
    with (
        pytest.MonkeyPatch.context() as patch,
        loopback.serve({key(day): pack(text_of(day)) for day in DAYS}) as server,
        yahoo(patch, at_yahoo),
    ):
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        place = Place(folder / "cache", server.endpoint_url, yahoo=True)
        (folder / "config.toml").write_text(
            f'[source]\nendpoint_url = "{server.endpoint_url}"\nsame_as = "{SAME}"\n[cache]\nroot = "cache"\n'
        )
        (folder / "stocks.txt").write_text("\n".join(TRACKED) + "\n")
        place.run(DAYS[0], DAYS[-1], tracked=TRACKED)
        yield folder


@pytest.fixture
def recipe(
    request: pytest.FixtureRequest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recipe]:
    """The section of the page that the test names by `recipe_of`, to run in a folder with a copy of the cache."""
    (title,) = request.node.get_closest_marker("recipe_of").args
    for name in [name for name in os.environ if name.startswith("INGEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        yield Recipe(blocks(title))
