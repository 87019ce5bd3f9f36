"""Parts in Azure's blob storage: a real server of its protocol, where Azurite is installed."""

import pytest
from azure_kit import ACCOUNT, CONTAINER, azurite
from moving_kit import PARTS, SESSIONS, STOCKS_DAY, copied, filled, run
from runs_kit import DAYS

from ingest.cache.objects.bucket import Bucket
from ingest.maintenance.store_check import store_checks

pytestmark = pytest.mark.long


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "azurite").mkdir()
    with azurite(tmp_path / "azurite") as (endpoint, key):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", key)
        yield Bucket(f"az://{CONTAINER}/market", endpoint)


@pytest.fixture
def local(tmp_path, loopback_keys):
    (tmp_path / "filled").mkdir()
    with filled(tmp_path / "filled") as place:
        yield copied(place, tmp_path)


def test_everything_goes_as_with_s3(local, store):
    before, there = local.seen(), local.at(store)
    assert [(one.name, one.passed) for one in store_checks(there.settings()) if not one.passed] == []

    moved = there.move()
    assert (moved.is_done, moved.copied.parts, local.files(), there.seen()) == (True, PARTS, [], before)
    assert run(there, STOCKS_DAY, DAYS[:6]).committed == [DAYS[5]]
    assert run(there, STOCKS_DAY, DAYS[:6]).gets == []
    for command in (("verify",), ("verify", "--deep"), ("status",)):
        told = there.here(*command)
        assert told.code == 0, (command, told.err)

    assert local.move().is_done
    assert local.seen()["stocks-day records"][: len(SESSIONS[STOCKS_DAY])] == before["stocks-day records"]
    assert local.broken() == []
