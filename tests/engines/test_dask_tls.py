"""A cluster with TLS, set up as docs/beyond-one-machine.md says; and what a nanny sets, and how that is changed."""

import re
import shutil
import subprocess
from pathlib import Path

import polars
import pytest
from cluster import cluster_in
from dask_kit import Field

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "beyond-one-machine.md"


def block(beginning):
    """The page's block of YAML whose third line begins so."""
    (found,) = (one for one in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if beginning in one)
    return found


@pytest.fixture
def tls(tmp_path):
    """A folder of Dask's configuration with the page's, and the certificate that the page makes."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    (command,) = re.findall(r"^openssl .*$", PAGE.read_text(), re.MULTILINE)
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    folder = tmp_path / "dask"
    folder.mkdir()
    (folder / "tls.yaml").write_text(block("default-scheme").replace("/etc/dask", str(tmp_path)))
    return folder


def test_a_run_on_a_cluster_with_tls(tls, environment, source, expected, tmp_path):
    with cluster_in(tmp_path / "cluster", DASK_CONFIG=str(tls)) as running:
        assert running.address.startswith("tls://")
        field = Field(tmp_path / "cache", source.endpoint_url, running, expected)
        with field.start() as run:
            _, refused = run.communicate(timeout=60)
        assert run.returncode == 2
        assert "TLS" in refused
        with field.start(DASK_CONFIG=str(tls)) as run:
            _, err = run.communicate(timeout=60)
        assert (run.returncode, err) == (0, "")
    field.check()


@pytest.mark.parametrize("told", [True, False])
def test_what_a_nanny_sets_is_told_until_it_is_changed(told, environment, source, expected, tmp_path):
    folder = tmp_path / "dask"
    folder.mkdir()
    if not told:
        (folder / "nanny.yaml").write_text(block("pre-spawn-environ"))
    with cluster_in(tmp_path / "cluster", 1, nanny=True, DASK_CONFIG=str(folder)) as running:
        ran = Field(tmp_path / "cache", source.endpoint_url, running, expected).run()
        with distributed.Client(running.address, set_as_default=False) as client:
            assert list(client.run(polars.thread_pool_size).values()) == [1]
    assert bool([said for said in ran.notices if "MALLOC_TRIM_THRESHOLD_" in said]) is told
