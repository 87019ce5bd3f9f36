"""How requests reach a source, and who may answer them.

One context verifies TLS on every route (direct, through a proxy, to a proxy that uses TLS itself). Requests go only to
the host that was addressed, since a signature and a token are for that one alone; and to this machine without any
proxy. aiobotocore's own transport falls short of that: it verifies nothing behind a proxy, never checks host names, and
follows redirects with all headers. So every client of our session, including those that fetch keys, sends through this
one. Nothing here writes to disk.
"""

import copy
import json
import os
import re
import ssl
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from ipaddress import ip_address
from pathlib import Path
from socket import inet_aton
from types import SimpleNamespace
from typing import IO, Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from aiobotocore.utils import _RefCountedSession
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.utils import get_environ_proxies

from ingest.errors import Disrupted, SourceRefused, UsageError
from ingest.sources import heard

_PROXIES = ("http", "https")
_KIND = re.compile(r"[a-z][a-z0-9+.-]{0,15}")
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%[\w.-]+)?")

_MAX_BODY = 64 << 20
"""The most bytes of a listing, unpacked; a page has less than one million."""

_GZIP = b"\x1f\x8b"

_MAX_ERROR = 1 << 20
"""Bytes that are read of an error."""


def is_this_machine(host: str) -> bool:
    """Whether the name of a host in a URL means this machine, which no proxy can reach."""
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
    """The context that verifies certificates and host names with the authorities of a bundle: a file, or a folder.

    Raises UsageError, which says where the bundle was configured, if it cannot be read.
    """
    try:
        is_folder, state = Path(bundle).is_dir(), Path(bundle).stat()
        return _context(bundle, is_folder, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    except OSError as error:
        raise UsageError(
            f"{named_by} names {bundle}, which cannot be read as certificates ({error}). Correct or unset it"
        ) from error


@lru_cache(maxsize=4)
def _context(bundle: str, is_folder: bool, state: tuple[int, ...]) -> ssl.SSLContext:
    """The context of a bundle in one state of it.

    It is cached: each call from a program opens a session of its own, and 150 authorities take 40 ms to read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if is_folder:
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
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
        """The authorities that this session trusts. Raises UsageError for a bundle that cannot be read."""
        if bundle := self.get_config_variable("ca_bundle"):
            return trusted(bundle, "AWS_CA_BUNDLE (or ca_bundle)")
        return trusted(os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True), "REQUESTS_CA_BUNDLE")

    def _create_credential_resolver(self) -> Any:
        """Those of a container and of a cloud machine have their own transports, which belong to no client."""
        resolver = super()._create_credential_resolver()
        for provider in resolver.providers:
            fetcher: Any = getattr(provider, "_fetcher", None) or getattr(provider, "_role_fetcher", None)
            if isinstance(own := getattr(fetcher, "_session", None), AIOHTTPSession):
                fetcher._session = _Shared.in_place_of(own, self.trust)
        return resolver


class _PlainFiles(JSONFileLoader):  # type: ignore[misc]
    """Parses to plain dicts, which have an order of their own: in a quarter of the time of botocore's OrderedDicts."""

    def _load_file(self, full_path: str, open_method: Callable[[str, str], IO[bytes]]) -> Any:
        if not Path(full_path).is_file():
            return None
        with open_method(full_path, "rb") as file:
            return json.loads(file.read())


class Models(Loader):  # type: ignore[misc]
    """Reads botocore's descriptions of services, without looking into the folders of all four hundred first."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Names of the services with a description of any type; for another type it is then not found."""
        folders = (Path(one) for one in self.search_paths)
        return sorted({name for folder in folders if folder.is_dir() for name in os.listdir(folder)})  # noqa: PTH208

    @classmethod
    def of(cls, session: AioSession) -> Self:
        """With the folders that a session's profile names in `data_path`. Raises what reading the profile raises."""
        usual = create_loader(session.get_config_variable("data_path"))
        return cls(usual.search_paths, file_loader=_PlainFiles(), include_default_search_paths=False)


def check_way(url: str) -> None:
    """Raise UsageError if the environment names an invalid proxy for a URL."""
    _Ways(get_environ_proxies(url)).proxy_url_for(url)


class _Ways(ProxyConfiguration):  # type: ignore[misc]
    """Through the environment's proxies, but to this machine directly."""

    def proxy_url_for(self, url: str) -> str | None:
        """The proxy for a URL, if there is one; that of its scheme comes before the general one. Raises UsageError."""
        parts = urlsplit(url)
        for scheme in (parts.scheme, "all"):
            if (named := self._proxies.get(scheme)) and not is_this_machine(parts.hostname or ""):
                return _proxy_of(named, scheme)
        return None


def _proxy_of(named: str, scheme: str) -> str:
    """The full URL of a proxy. The value may contain a password, so it is not repeated in messages."""
    full = named.strip()
    full = full if "://" in full else f"http://{full.removeprefix('//')}"
    kind = full.partition("://")[0].lower()
    with suppress(ValueError):  # such as a port that is not a number
        parts = urlsplit(full)
        bare = (parts.path.strip("/"), parts.query, parts.fragment) == ("", "", "")
        if kind in _PROXIES and _HOST.fullmatch(parts.hostname or "") and bare and parts.port != 0:
            return parts.geturl()
    of = f"a proxy of the kind {kind}://" if _KIND.fullmatch(kind) and kind not in _PROXIES else "an invalid proxy"
    raise UsageError(
        f"{_variable_of(scheme)} names {of}. HTTP proxies are supported, as http://host:port or https://host:port, "
        "with user:password@ before the host if needed (other characters than letters and digits as %XX); SOCKS is "
        "not supported. Hosts in NO_PROXY are reached directly"
    )


def _variable_of(scheme: str) -> str:
    """The environment variable that names a proxy for a scheme, as it is spelled there."""
    wanted = f"{scheme}_proxy"
    spelled = [wanted, *(name for name in os.environ if name.lower() == wanted)]
    return next((name for name in spelled if os.environ.get(name)), f"the system's setting {wanted}")


class Transport(AIOHTTPSession):  # type: ignore[misc]
    """Sends requests and returns answers of the addressed host; `verify` is ignored: everything is verified."""

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
        """Send one request. A body other than an object's is read here, up to the size that such a body can have."""
        streamed, request.stream_output = request.stream_output, True
        response = await super().send(request)
        heard.answered(well=response.status_code < 300)
        if not streamed or response.status_code >= 300:
            response._content = _unpacked(await _bounded(response))
        return response


class _Shared(Transport, _RefCountedSession):  # type: ignore[misc]
    """The same for requests for keys to a container's or a cloud machine's service."""

    @classmethod
    def in_place_of(cls, own: AIOHTTPSession, trust: ssl.SSLContext) -> Self:
        """With the time limits and the proxies of another one, whose trust is its own."""
        shared = cls(trust=trust, proxies=own._proxy_config._proxies)
        shared._timeout = own._timeout
        return shared


async def _bounded(response: Any) -> bytes:
    """A body: the beginning of an error, all of anything else. Raises SourceRefused if that is too long."""
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
        raise SourceRefused(f"more than {_MAX_BODY:,} bytes arrived for a listing")
    return bytes(body)


def _unpacked(body: bytes) -> bytes:
    """A body without the gzip that a proxy has added. Raises Disrupted if that is incomplete."""
    if not body.startswith(_GZIP):
        return body
    packed = zlib.decompressobj(wbits=31)
    try:
        found = packed.decompress(body, _MAX_BODY)
    except zlib.error as error:
        raise Disrupted(f"the gzip answer is damaged: {error}") from error
    if not packed.eof:
        raise Disrupted(f"the gzip answer is incomplete or longer than {_MAX_BODY:,} bytes")
    return found
