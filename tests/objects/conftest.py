"""Keys of a store and of the source for places that several tests of a module share."""

import pytest
from pipeline_kit import write_keys
from store_kit import keys_in_environment


@pytest.fixture(scope="module")
def patch(seaweed, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        keys_in_environment(patched, seaweed.writer)
        keys = tmp_path_factory.mktemp("keys") / "credentials"
        write_keys(keys)
        patched.setenv("MASSIVE_S3_ACCESS_KEY", "KEY")
        patched.setenv("MASSIVE_S3_SECRET_KEY", "secret-of-the-loopback")
        yield patched
