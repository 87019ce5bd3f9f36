"""A proxy on loopback for tests: routes the host names of CONNECT as the test wants, and records its requests.

Also a certificate authority for the servers that it routes to.
"""

import re
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trustme

HOST = "files.example.test"
"""A name that no resolver knows: only a proxy can reach it."""

VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@dataclass
class Proxy:
    """A running proxy. `refusal` replaces every answer, `asked` has the first lines of all requests."""

    port: int
    scheme: str = "http"
    routes: dict[str, tuple[str, int]] = field(default_factory=dict)
    refusal: bytes | None = None
    asked: list[str] = field(default_factory=list)
    seen: bytearray = field(default_factory=bytearray)
    """The bytes sent to the source, as far as the proxy can read them."""

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def in_environment(self, monkeypatch, *names):
        """Make it this process's proxy for https, or in the variables named."""
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name in names or ("HTTPS_PROXY",):
            monkeypatch.setenv(name, self.url)

    def answer(self, client):
        head = _head(client)
        self.seen += head
        self.asked.append(head.partition(b"\r\n")[0].decode("latin-1"))
        found = re.match(rb"CONNECT ([^ :]+):", head)
        if self.refusal or not found or found[1].decode() not in self.routes:
            client.sendall(self.refusal or b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.routes[found[1].decode()]) as target:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(target, client), daemon=True)
            back.start()
            _pump(client, target)
            back.join()


def _head(client):
    head = b""
    while b"\r\n\r\n" not in head and (piece := client.recv(65536)):
        head += piece
    return head


def _pump(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
    except OSError:
        pass
    finally:
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxying(tls=None, **routes):
    """A proxy; `routes` map host names, with underscores for dots, to a server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1], "https" if tls else "http")
        for name, url in routes.items():
            parts = urlsplit(url)
            proxy.routes[name.replace("_", ".")] = (parts.hostname, parts.port)
        threads = []

        def one(raw):
            try:
                with raw if tls is None else tls.wrap_socket(raw, server_side=True) as client:
                    proxy.answer(client)
            except OSError:
                raw.close()

        def accept():
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=one, args=(raw,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for thread in threads:
                thread.join(5)


def server_tls(authority, *names):
    """A server's TLS context with the authority's certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@contextmanager
def bundle_of(*authorities):
    """A file with the certificates of these authorities."""
    with trustme.Blob(b"".join(one.cert_pem.bytes() for one in authorities)).tempfile() as path:
        yield path
