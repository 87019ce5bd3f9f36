"""The clients of an object store, made once per process, and their keys, which no value of ours holds."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingest.errors import StoreRefused, UsageError
from ingest.settings import tuning
from ingest.settings.sections.store import place_of
from ingest.settings.tuning import Tuning

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, S3Credential, S3Store

MISSING = "parts in an object store need the library obstore, which is not installed: pip install 'ingest[objects]'"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_VALID = timedelta(minutes=10)
"""How long the client may use keys before it asks again; botocore renews those of a role earlier than that."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a place in an object store. It holds no keys, so it may be pickled, and travel to a worker.

    `url` is that of `[cache] archive`; the others are those of `[store]`, "" where nothing is set.
    """

    url: str
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    # Not hashed, since that would take longer than all else that is done here for a request.
    tuning: Tuning = field(default_factory=lambda: tuning.DEFAULT, repr=False, hash=False)


def check_access(access: Access) -> None:
    """Raise UsageError if the library is missing, or the settings do not belong to this kind of store."""
    if find_spec("obstore") is None:
        raise UsageError(MISSING)
    scheme = place_of(access.url).scheme
    alone = {"endpoint": {"s3", "az"}, "region": {"s3"}, "profile": {"s3"}}
    for name, schemes in alone.items():
        if getattr(access, name) and scheme not in schemes:
            raise UsageError(f"[store] {name} is not for {scheme}://, whose library reads the environment")


@dataclass(slots=True)
class Learnt:
    """What this process has found out about a store: whether its ETags of 32 digits are no md5, as with keys of KMS."""

    has_odd_etags: bool = False


@lru_cache(maxsize=64)
def learnt(access: Access) -> Learnt:
    """One for each place."""
    return Learnt()


def client(access: Access, purpose: str = "read") -> "S3Store | GCSStore | AzureStore":
    """The client for a `purpose`: "read", "write" or "multipart"; safe in threads.

    Raises UsageError if the library is missing, StoreRefused if there are no keys, or in a fork of a process that has
    used the library: its threads are not there, and a request would wait forever.
    """
    if _PROCESSES and os.getpid() not in _PROCESSES:
        raise StoreRefused(f"{access.url} cannot be reached from a fork: start processes by spawn, not by fork")
    return _made(access, purpose)


_PROCESSES: set[int] = set()
"""This process, once it has used the library; after a fork, its parent."""


@lru_cache(maxsize=64)
def _made(access: Access, purpose: str) -> "S3Store | GCSStore | AzureStore":
    check_access(access)
    from obstore.store import AzureStore, GCSStore

    _PROCESSES.add(os.getpid())
    place = place_of(access.url)
    # Only what consists of many requests repeats them itself; everything else is repeated by us, who know what for.
    common: dict[str, Any] = {
        "prefix": place.prefix or None,
        "client_options": _options(access, purpose),
        "retry_config": {"max_retries": 5 if purpose == "multipart" else 0},
    }
    if place.scheme == "gs":
        return GCSStore(place.bucket, **common)
    if place.scheme == "az":
        named: dict[str, Any] = {"endpoint": access.endpoint} if access.endpoint else {}
        return AzureStore(place.bucket, **named, **common)
    return _s3(access, place.bucket, common)


def _s3(access: Access, bucket: str, common: dict[str, Any]) -> "S3Store":
    from obstore.store import S3Store

    chosen: dict[str, Any] = {"endpoint": access.endpoint} if access.endpoint else {}
    if is_signed():
        chosen["credential_provider"] = keys_of(access)
    return S3Store(
        bucket,
        region=region_of(access),
        checksum_algorithm="SHA256",
        virtual_hosted_style_request=False,
        **chosen,
        **common,
    )


def is_signed() -> bool:
    """Whether requests to S3 are signed; the environment may say that they are not, as for a public bucket."""
    return os.environ.get("AWS_SKIP_SIGNATURE", "").lower() not in {"1", "true"}


def region_of(access: Access) -> str:
    """The region of a place of S3. Raises StoreRefused if its profile is missing."""
    return access.region or os.environ.get("AWS_REGION") or _region(access.profile)


def keys_of(access: Access) -> "Callable[[], S3Credential]":
    """What gives the keys of a place of S3 each time it is called. Raises StoreRefused if there are none."""
    return _Keys(access)


def _options(access: Access, purpose: str) -> "ClientConfig":
    tuned = access.tuning
    options: ClientConfig = {
        "allow_http": access.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=tuned.store_connect_s),
        "timeout": timedelta(seconds=tuned.store_put_s),
    }
    if purpose == "read":  # while bytes are sent, none is read
        options["read_timeout"] = timedelta(seconds=tuned.store_silent_s)
    return options | proxy_of(access)


def proxy_of(access: Access) -> "ClientConfig":
    """What keeps requests to a store on this machine from a proxy, which does not lead back: one that is never used."""
    host = urlsplit(access.endpoint).hostname or ""
    return {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": host} if host in _LOOPBACK else {}


def _session(profile: str) -> Any:
    import botocore.session

    return botocore.session.Session(profile=profile or None)


def _region(profile: str) -> str:
    from botocore.exceptions import ProfileNotFound

    try:
        return _session(profile).get_config_variable("region") or "us-east-1"
    except ProfileNotFound as error:
        raise _no_profile(profile) from error


class _Keys:
    """Keys as AWS's own programs find them, or those of a profile; asked for again before they expire."""

    def __init__(self, access: Access) -> None:
        """Raises StoreRefused if there are none."""
        from botocore.exceptions import BotoCoreError, ProfileNotFound

        try:
            self._credentials = _session(access.profile).get_credentials()
        except ProfileNotFound as error:
            raise _no_profile(access.profile) from error
        except BotoCoreError as error:
            # The output of a program that supplies keys may be in its message.
            raise StoreRefused(f"the keys for {access.url} cannot be obtained: {type(error).__name__}") from None
        if self._credentials is None:
            where = f"the profile {access.profile} that [store] names" if access.profile else "AWS_ACCESS_KEY_ID"
            raise StoreRefused(f"there are no keys for {access.url}: neither in {where} nor in a role of this machine")

    def __call__(self) -> "S3Credential":
        keys = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _VALID,
        }


def _no_profile(profile: str) -> StoreRefused:
    name = profile or os.environ.get("AWS_PROFILE", "")
    return StoreRefused(f"the profile {name} that [store] names is neither in ~/.aws/credentials nor in ~/.aws/config")
