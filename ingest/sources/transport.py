"""How requests leave for a source, and who may answer them.

Over TLS that is verified on every way (direct, through a proxy, to a proxy that speaks TLS itself) by one context;
to the host that was asked and no other, since a signature and a token are for that one alone; and to this machine
without any proxy. aiobotocore's own transport falls short of that: it verifies nothing behind a proxy, compares no
host name anywhere, and follows redirects with all headers. So every client of our session, those that fetch keys
among them, sends through this one. Nothing here writes to disk.
"""

import copy
import os
import ssl
import zlib
from collections.abc import Mapping
from functools import cached_property, partial
from ipaddress import ip_address
from pathlib import Path
from socket import inet_aton
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.httpsession import ProxyConfiguration, get_cert_path

from ingest.errors import Disrupted, SourceRefused, UsageError
from ingest.sources import heard

_MAX_BODY = 64 << 20
"""Bytes of a listing, unpacked; a page has less than one million."""

_GZIP = b"\x1f\x8b"

_MAX_ERROR = 1 << 20
"""Bytes that are read of an error."""


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is this machine by its very name, so that no proxy can lead to it."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        found = ip_address(name)
    except ValueError:
        try:
            found = ip_address(inet_aton(name))  # 127.1 and other short forms, as connect() reads them
        except OSError:
            return False
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified


def trusted(bundle: str, named_by: str) -> ssl.SSLContext:
    """The context that verifies certificates and host names by the authorities of a bundle: a file, or a folder.

    Raises UsageError where it cannot be read, with who named it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as error:
        raise UsageError(
            f"{named_by} names {bundle}, which cannot be read as certificates ({error}): mend it, or take it away"
        ) from error
    return context


class Session(AioSession):  # type: ignore[misc]
    """A session whose clients all send through `Transport`, whatever they are for."""

    def create_client(self, *args: Any, **named: Any) -> Any:
        """A client as aiobotocore makes it, with our transport. Raises UsageError for a bundle that cannot be read."""
        config = copy.copy(named.pop("config", None) or AioConfig())
        config.http_session_cls = partial(Transport, trust=self.trust)
        return super().create_client(*args, **named, config=config)

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Whom this session trusts. Raises UsageError for a bundle that cannot be read."""
        if bundle := self.get_config_variable("ca_bundle"):
            return trusted(bundle, "AWS_CA_BUNDLE (or ca_bundle)")
        return trusted(os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True), "REQUESTS_CA_BUNDLE")


class _Ways(ProxyConfiguration):  # type: ignore[misc]
    """Through the environment's proxies, as botocore reads it, but to this machine directly."""

    def proxy_url_for(self, url: str) -> str | None:
        return None if is_this_machine(urlsplit(url).hostname or "") else super().proxy_url_for(url)


class Transport(AIOHTTPSession):  # type: ignore[misc]
    """Sends requests and hands out answers of the host that was asked; `verify` is not heeded: all is verified."""

    def __init__(
        self, *args: Any, trust: ssl.SSLContext, proxies: Mapping[str, str] | None = None, **named: Any
    ) -> None:
        super().__init__(*args, proxies=proxies, **named)
        self._trust, self._proxy_config = trust, _Ways(proxies=proxies)

    def _create_connector(self, proxy_url: str | None) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self._max_pool_connections, ssl=self._trust, **self._connector_args)

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        return SimpleNamespace(request=partial(session.request, allow_redirects=False))

    async def send(self, request: Any) -> Any:
        """Send one request. A body that is no object's is read here, and no further than such a body can reach."""
        streamed, request.stream_output = request.stream_output, True
        response = await super().send(request)
        heard.answered(well=response.status_code < 300)
        if not streamed or response.status_code >= 300:
            response._content = _unpacked(await _bounded(response))
        return response


async def _bounded(response: Any) -> bytes:
    """A body: the beginning of an error, all of anything else. Raises SourceRefused where that is too long."""
    is_error, body = response.status_code >= 300, bytearray()
    try:
        async for chunk in response.raw.content.iter_chunked(1 << 16):
            heard.received(len(chunk))
            body += chunk
            if len(body) > (_MAX_ERROR if is_error else _MAX_BODY):
                response.raw.close()
                break
    except BaseException:
        response.raw.close()
        raise
    if len(body) > _MAX_BODY:
        raise SourceRefused(f"more than {_MAX_BODY:,} bytes come where a listing was asked for")
    return bytes(body)


def _unpacked(body: bytes) -> bytes:
    """A body without the gzip that a proxy has put around it. Raises Disrupted where that is not whole."""
    if not body.startswith(_GZIP):
        return body
    packed = zlib.decompressobj(wbits=31)
    try:
        found = packed.decompress(body, _MAX_BODY)
    except zlib.error as error:
        raise Disrupted(f"the answer is packed with gzip, and damaged: {error}") from error
    if not packed.eof:
        raise Disrupted(f"the answer is packed with gzip, and not whole, or longer than {_MAX_BODY:,} bytes")
    return found
