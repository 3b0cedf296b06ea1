"""What the small ports for a Prometheus have in common: how a scrape is answered, and how long a peer may take.

Enters: a status and a body. Leaves: an HTTP answer. Knows no paths.
"""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

IDLE_S = 30


class ScrapeServer(ThreadingHTTPServer):
    """A server on one address, IPv4 or IPv6, with a thread for each connection; raises OSError when it is taken."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host.strip("[]"), port), handler)

    def server_bind(self) -> None:
        """Bind, and ask no name server for our own name: where it does not answer, the start would wait for it."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


def shown(host: str, port: int) -> str:
    """Write an address as it stands in a URL.

    >>> shown("127.0.0.1", 8889), shown("::1", 8889)
    ('127.0.0.1:8889', '[::1]:8889')
    """
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


class ScrapeHandler(BaseHTTPRequestHandler):
    """The base of a port's handler, which says what is at each path; a peer that sends nothing for IDLE_S is let go."""

    timeout = IDLE_S

    def do_GET(self) -> None:
        """Answer what is asked for."""
        self.asked(self.path.partition("?")[0])

    def asked(self, path: str) -> None:
        """Answer for one path, without its query."""
        raise NotImplementedError

    def answer(self, status: int, kind: str, body: bytes) -> None:
        """Send the whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line each."""
