"""What the small ports for a Prometheus have in common: how a scrape is answered, and how long a peer may take.

Enters: a status and a body. Leaves: an HTTP answer. Knows no paths.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

IDLE_S = 30


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
