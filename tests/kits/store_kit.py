"""Places in an object store for tests; the fixture `store` (tests/conftest.py) is one in SeaweedFS."""

from dataclasses import replace
from typing import Any

import pytest

from ingest.cache.objects.bucket import Bucket
from ingest.demo.servers.seaweed import Identity
from ingest.settings import tuning

BUCKET = "flatfiles"
"""The bucket that each SeaweedFS of the tests has from its start."""


def keys_in_environment(monkeypatch: pytest.MonkeyPatch, who: Identity) -> None:
    """Let clients that are made from now on, here and in child processes, use these keys and no other settings."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", who.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", who.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def place(endpoint: str, prefix: str, **tuned: Any) -> Bucket:
    """A place in the tests' bucket behind an endpoint, with short waits, unless `tuned` says otherwise."""
    waits = {"store_wait_first_s": 0.01, "store_wait_longest_s": 0.05, **tuned}
    return Bucket(f"s3://{BUCKET}/{prefix}", endpoint, "us-east-1", tuning=replace(tuning.DEFAULT, **waits))
