"""botocore's descriptions of services: found as botocore finds them, without reading each service's folder."""

import os

import anyio
import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import create_loader

from ingest.settings import SourceSettings
from ingest.sources.massive.client import connect
from ingest.sources.massive.transport import Models, Session, _PlainFiles


@pytest.mark.parametrize("service", ["s3", "sts", "sso", "sso-oidc"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_the_description_of_a_service_is_that_which_botocore_reads_and_few_folders_are_read_for_it(
    service, kind, monkeypatch
):
    usual, models, read, folders = create_loader(), Models.of(Session()), [], os.listdir
    expected = usual.load_service_model(service, kind)
    monkeypatch.setattr(os, "listdir", lambda folder: read.append(folder) or folders(folder))
    assert models.load_service_model(service, kind) == expected
    assert 0 < len(read) < 10


def test_a_description_in_a_folder_that_the_user_names_is_found_and_one_that_is_nowhere_is_an_error(
    tmp_path, monkeypatch
):
    (tmp_path / "own" / "2025-11-11").mkdir(parents=True)
    (tmp_path / "own" / "2025-11-11" / "service-2.json").write_text('{"metadata": {}}')
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setenv("AWS_DATA_PATH", os.pathsep.join([str(tmp_path / "gone"), "$FOLDER"]))
    models = Models.of(Session())
    assert models.load_service_model("own", "service-2") == {"metadata": {}}
    with pytest.raises(UnknownServiceError, match="nothing"):
        models.load_service_model("nothing", "service-2")
    with pytest.raises(DataNotFoundError):
        models.load_service_model("own", "endpoint-rule-set-1")


def test_the_tests_parse_the_descriptions_once_in_a_process(loopback_keys, monkeypatch):
    """Hundreds of tests make a client, or several: each would take a tenth of a second more."""
    parsed, original = [], _PlainFiles._load_file

    def load(loader, path, *more):
        if found := original(loader, path, *more):
            parsed.append(path)
        return found

    monkeypatch.setattr(_PlainFiles, "_load_file", load)

    async def client():
        async with connect(SourceSettings(endpoint_url="http://127.0.0.1:9")):
            pass

    anyio.run(client)
    parsed.clear()
    anyio.run(client)
    assert parsed == []
