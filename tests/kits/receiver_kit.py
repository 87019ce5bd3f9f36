"""A web server that keeps what is sent to it, for whoever is told how a run ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Post:
    """A request: its path, its query with one value per name, its body."""

    path: str
    query: dict[str, str]
    body: str


@dataclass
class Receiver:
    """The requests so far; each is answered with the next of `answers`, at the end with 200 OK."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, nothing is answered."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [post.path for post in self.posts]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            query = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
            receiver.posts.append(Post(parts.path, query, body))
            if receiver.silent.is_set():
                over.wait(20)
                return
            status, text = receiver.answers.pop(0) if receiver.answers else (200, "OK")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            over.set()
            server.shutdown()
            thread.join()
