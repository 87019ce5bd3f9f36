"""The folders and files that a cache owns are pairwise disjoint: no file of one can overwrite one of another."""

import pytest

from ingest import settings
from ingest.errors import UsageError


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Settings of a cache in `tmp_path / "cache"`, with these folders."""
    monkeypatch.chdir(tmp_path)

    def loaded(**folders):
        lines = [f'{name} = "{value}"' for name, value in folders.items()]
        (tmp_path / "config.toml").write_text("\n".join(["[cache]", *lines, ""]))
        return settings.load(tmp_path / "config.toml")

    return loaded


@pytest.mark.parametrize("name", ["tracked_dir", "archive_dir"])
@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("quarantine", "quarantine"),
        ("spool", "spool"),
        ("Quarantine", "quarantine"),
        ("./x/../spool/", "spool"),
        ("quarantine/mine", "quarantine"),
        (".", "quarantine"),
        ("..", "quarantine"),
        ("manifest.sqlite", "file"),
        ("manifest.sqlite-wal", "file"),
        ("ingest.lock/x", "file"),
    ],
)
def test_a_folder_that_is_another_ones_or_lies_in_it_is_refused(load, name, value, other):
    with pytest.raises(UsageError) as caught:
        load(**{name: value})
    said = str(caught.value)
    assert f"[cache] {name} (" in said or "tracked_dir is" in said or f"[cache] {name} = " in said
    assert other in said or "[cache] archive_dir = " in said


def test_both_are_named_with_their_places(load, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(UsageError) as caught:
        load(archive_dir="quarantine")
    assert str(caught.value).startswith(
        f"[cache] archive_dir ({cache / 'quarantine'}) and quarantine ({cache / 'quarantine'})"
    )


@pytest.mark.parametrize("name", ["tracked_dir", "archive_dir"])
def test_links_are_followed(load, tmp_path, name):
    (tmp_path / "cache" / "quarantine").mkdir(parents=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "cache")
    with pytest.raises(UsageError, match="quarantine"):
        load(**{name: str(tmp_path / "elsewhere" / "quarantine" / "deep")})
    (tmp_path / "cache" / "mine").symlink_to("quarantine")
    with pytest.raises(UsageError, match="quarantine"):
        load(**{name: "mine"})


def test_names_that_a_file_system_may_take_for_one_are(load, tmp_path):
    with pytest.raises(UsageError, match="overwrite"):
        load(tracked_dir="caf\u00e9", archive_dir="CAFE\u0301/x")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("data_cache/sessions", "massive_cache"),
        ("massive_cache/us_options_opra", "data_cache/us_options_opra"),
        ("massive_cache/us_options_opra/day_aggs_v1", "massive_cache/global_crypto/day_aggs_v1"),
        ("quarantine/us_options_opra/day_aggs_v1", "massive_cache/us_options_opra/day_aggs_v1"),
        ("spool", "massive_cache"),
    ],
)
def test_folders_of_datasets_that_are_made_one_by_links_are_refused(load, tmp_path, link, target):
    load()
    link, target = tmp_path / "cache" / link, tmp_path / "cache" / target
    target.mkdir(parents=True)
    (target / "day_aggs_v1" / "sessions").mkdir(parents=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    with pytest.raises(UsageError, match="overwrite"):
        load()


def test_folders_that_lie_on_other_disks_are_fine(load, tmp_path):
    """A tier, and a market's folder in one, moved to a larger disk."""
    for name in ("disk/archive", "disk/options/day_aggs_v1/sessions", "cache/data_cache"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cache" / "massive_cache").symlink_to(tmp_path / "disk" / "archive")
    (tmp_path / "cache" / "data_cache" / "us_options_opra").symlink_to(tmp_path / "disk" / "options")
    assert load().archive_path == tmp_path / "cache" / "massive_cache"
    assert load(tracked_dir=str(tmp_path / "apart"), archive_dir="massive_cache2")
