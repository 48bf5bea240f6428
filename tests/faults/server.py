"""A local server that plays a bad network: what it serves depends on the path that is asked for."""

from __future__ import annotations

import functools
import hashlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

# By path: what happens. "slow" and "whole" send the file.
WAYS = ("whole", "slow", "stops", "short", "long", "page", "other", "missing", "broken", "endless",
        "redirect", "silent")  # fmt: skip
GOOD = ("whole", "slow")


@functools.cache
def content() -> bytes:
    """Return the file: a stand-in for MNIST of 2 MB."""
    file = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 256, (2500, 28, 28), np.uint8)
    np.savez(file, x_train=images)
    return file.getvalue()


@functools.cache
def serving() -> tuple[str, str]:
    """Start the server in a thread; return its address and the SHA-256 of the right file."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", hashlib.sha256(content()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        way, data = self.path.strip("/"), content()
        try:
            self._send(way, data)
        except OSError:  # the other side is gone, or was killed
            self.close_connection = True

    def _send(self, way: str, data: bytes) -> None:
        if way in ("missing", "broken"):
            self.send_error(404 if way == "missing" else 500)
            return
        if way == "redirect":
            self.send_response(302)
            self.send_header("Location", "/redirect")
            self.end_headers()
            return
        if way == "silent":
            time.sleep(30)
            return
        if way == "page":
            data = b"<!DOCTYPE html><title>Please log in</title>"
        if way == "other":
            data = bytes(len(data))
        length = {"short": len(data) // 2, "long": len(data) * 2, "endless": 1 << 40}
        self.send_response(200)
        self.send_header("Content-Length", str(length.get(way, len(data))))
        self.end_headers()
        pieces = [data[at : at + 65536] for at in range(0, len(data), 65536)]
        for number, piece in enumerate(pieces):
            if way == "stops" and number > len(pieces) // 2:
                return
            self.wfile.write(piece)
            if way == "slow":
                time.sleep(0.02)
        if way == "endless":
            while True:
                self.wfile.write(data)
