"""An S3 server as a process of its own, and a proxy before it that answers badly when it is told to."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeVar

Fault = Literal["503", "reset", "truncated", "slow"]


@contextmanager
def s3_server() -> Iterator[int]:
    """A server that speaks S3 on this machine; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the S3 server ended by itself"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Proxy(ThreadingHTTPServer):
    """Passes requests on; the next `left` of those with `method` meet `fault` instead.

    Attributes:
        met: how many did.
    """

    daemon_threads = True
    fault: Fault = "503"
    method = "GET"
    left = 0
    met = 0

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Passing)

    def strike(self, fault: Fault, method: str, times: int) -> None:
        with self.lock:
            self.fault, self.method, self.left, self.met = fault, method, times, 0

    def meets(self, method: str) -> Fault | None:
        with self.lock:
            if method != self.method or self.left == 0:
                return None
            self.left -= 1
            self.met += 1
            return self.fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


AnyProxy = TypeVar("AnyProxy", bound=Proxy)


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def _pass(self) -> None:
        self.close_connection = True
        body = self._body()
        # Listings are no reads of an object.
        listing = re.search(r"[?&](list-type|prefix|uploads)", self.path) is not None
        fault = None if listing else self.server.meets(self.command)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if fault == "503":
            self.wfile.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if fault == "slow":
            time.sleep(0.5)
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "expect")}
        headers.pop("transfer-encoding", None)
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        told = answer.read()
        self.wfile.write(f"HTTP/1.1 {answer.status} {answer.reason}\r\n".encode())
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.wfile.write(f"{name}: {value}\r\n".encode())
        length = answer.getheader("content-length") or len(told)
        self.wfile.write(f"Content-Length: {length}\r\nConnection: close\r\n\r\n".encode())
        self.wfile.write(told[: len(told) // 2] if fault == "truncated" else told)
        upstream.close()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815


@contextmanager
def proxy_before(port: int, kind: type[AnyProxy]) -> Iterator[AnyProxy]:
    """A proxy of this kind before the server at a port, in threads of this process."""
    proxy = kind(port)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
