"""How polars reads objects of a place by itself: the settings of [store], in its words.

Keys are in none of these values: polars calls for them when it sends a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingest.cache.objects.client import Access, is_signed, keys_of, proxy_of, region_of
from ingest.settings.sections.store import place_of

_TRIES = 2


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of a place, as polars asks for them; a value without keys."""

    access: Access

    def __call__(self) -> tuple[dict[str, str | None], int | None]:
        found = keys_of(self.access)()
        named = {"aws_access_key_id": found["access_key_id"], "aws_secret_access_key": found["secret_access_key"]}
        until = found["expires_at"]
        token = {"aws_session_token": found["token"]} if found.get("token") else {}
        return {**named, **token}, int(until.timestamp()) if until else None


def scan_options(access: Access) -> dict[str, Any]:
    """What `polars.scan_parquet` is given to read objects of this place. Raises StoreRefused without keys.

    For gs:// and az:// the library finds keys in the environment itself.
    """
    scheme = place_of(access.url).scheme
    provider: Callable[[], object] | None = None
    options: dict[str, Any] = {**_transport(access), "max_retries": _TRIES}
    if scheme == "s3":
        options |= {"aws_region": region_of(access), "aws_virtual_hosted_style_request": "false"}
        options |= {"aws_endpoint_url": access.endpoint} if access.endpoint else {}
        provider = _Keys(access) if is_signed() else None
    elif scheme == "az" and access.endpoint:
        options["azure_endpoint"] = access.endpoint
    return {"storage_options": options, "credential_provider": provider}


def _transport(access: Access) -> dict[str, Any]:
    tuned = access.tuning
    return {
        "allow_http": str(access.endpoint.startswith("http://")).lower(),
        "connect_timeout": _in_words(tuned.store_connect_s),
        "read_timeout": _in_words(tuned.store_silent_s),
        "timeout": _in_words(tuned.store_put_s),
        **proxy_of(access),
    }


def _in_words(seconds: float) -> str:
    return f"{round(seconds * 1000)} ms"
