# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""redis-server for a test, and the plainest client: RESP 2 over a unix socket, as a backend of any language has it."""

import pathlib
import select
import socket
import subprocess

import shoal


class RedisError(Exception):
    """What Redis refused."""


class Client:
    """One connection. Answers are bytes, int, None, lists of them, or a RedisError that is raised."""

    def __init__(self, path, timeout=20.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def receive(self):
        answer = self._read()
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def waits(self, timeout):
        """Whether there is something to receive, now or within so many seconds."""
        return bool(self.buffer or select.select([self.socket], [], [], timeout)[0])

    def _fill(self):
        data = self.socket.recv(1 << 20)
        assert data, "Redis closed the connection"
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _bytes(self, size):
        while len(self.buffer) < size + 2:
            self._fill()
        data, self.buffer = self.buffer[:size], self.buffer[size + 2:]
        return data

    def _read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            return self._bytes(size)
        assert kind == b"*", line
        return [self._read() for _ in range(size)]

    def __call__(self, *words):
        self.send(*words)
        return self.receive()


def fields(flat):
    """[name, value, ...] as a dictionary of text."""
    return {flat[i].decode(): flat[i + 1].decode(errors="replace") for i in range(0, len(flat), 2)}


class Server:
    """A redis-server of its own, in memory."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.process = pathlib.Path(folder), options, None
        self.path = self.folder / "redis.sock"
        self.url = f"redis+unix://{self.path}"

    def __enter__(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no",
             "--dir", self.folder, "--logfile", self.folder / "redis.log", *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        shoal.wait_until(self.path.exists, what="the socket of Redis")
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()

    def client(self):
        return Client(self.path)
