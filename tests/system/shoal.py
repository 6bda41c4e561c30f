# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Starts, stops and kills the real programs, and speaks HTTP to them.

Nothing here is shared with the server's code. Ports are chosen outside of the kernel's ephemeral range, so that
a daemon which was killed finds its ports free again even while other tests open and close sockets.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

_executor = concurrent.futures.ThreadPoolExecutor(max_workers=64)


def build_dir():
    """SHOAL_BUILD, where the programs under test are."""
    path = os.environ.get("SHOAL_BUILD")
    if not path:
        raise RuntimeError("set SHOAL_BUILD to a build directory (./test does)")
    return pathlib.Path(path).resolve()


def program(name, build=None):
    """A program of the product: "shoald", "shoalctl", "shoal-sim"."""
    folder = {"shoald": "daemon", "shoalctl": "cli", "shoal-sim": "sim"}[name]
    path = (build or build_dir()) / "src" / folder / name
    assert path.exists(), f"{path} is not built"
    return str(path)


def wait_until(condition, timeout=10.0, what="condition", interval=0.02):
    """The first true value of `condition()`, or an AssertionError."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not become true within {timeout} s")
        time.sleep(interval)


def free_port():
    """A port that is free for UDP and TCP, outside of the ephemeral range."""
    chooser = random.SystemRandom()
    for _ in range(1000):
        port = chooser.randrange(12000, 32000)
        with contextlib.ExitStack() as stack:
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    s = stack.enter_context(socket.socket(socket.AF_INET6, kind))
                    s.bind(("::", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Response:
    """An answer by HTTP, whatever its status."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers.get('Content-Type')} {self.body[:400]!r}>"

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.headers.get("Content-Type", "").startswith("application/json"), self
        return json.loads(self.body)


def fetch(method, url, body=None, content_type=None, headers=None, timeout=30.0):
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body, content_type = json.dumps(body), content_type or "application/json"
    if isinstance(body, str):
        body = body.encode()
    if content_type:
        headers["Content-Type"] = content_type
    elif body is not None:
        # Else urllib would call it a form.
        headers["Content-Type"] = "application/octet-stream"
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return Response(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read())


class Event:
    def __init__(self, id, name, data):
        self.id, self.name, self.data = id, name, data

    def __repr__(self):
        return f"<{self.id} {self.name} {self.data}>"


class Events:
    """Reads a stream of server-sent events in a thread, until closed."""

    def __init__(self, host, port, query="", last_id=None, accept="text/event-stream"):
        self.connection = http.client.HTTPConnection(host, port, timeout=60)
        headers = {"Accept": accept}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self.connection.request("GET", "/api/event" + query, headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.content_type = self.answer.headers.get("Content-Type")
        self.seen, self.heartbeats, self.ended = [], 0, False
        self.changed = threading.Condition()
        self.raw = []
        if self.status == 200:
            self.thread = threading.Thread(target=self._read, daemon=True)
            self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            # Wakes the reader; close alone would not.
            if self.connection.sock:
                self.connection.sock.shutdown(socket.SHUT_RDWR)
            elif self.answer.fp:
                socket.socket(fileno=os.dup(self.answer.fp.fileno())).shutdown(socket.SHUT_RDWR)
        if self.status == 200:
            self.thread.join(10)
        self.connection.close()

    def _read(self):
        fields = {}
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := self.answer.readline():
                line = line.decode().rstrip("\r\n")
                if line:
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    fields[name] = fields[name] + "\n" + value if name in fields and name == "data" else value
                    continue
                with self.changed:
                    if "data" in fields or "event" in fields:
                        self.seen.append(Event(fields.get("id"), fields.get("event", "message"),
                                               json.loads(fields.get("data") or "null")))
                    elif not fields:
                        self.heartbeats += 1
                    fields = {}
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, want, timeout=10.0):
        """The first event, seen or to come, for which `want` (a name or a predicate) holds."""
        match = (lambda e: e.name == want) if isinstance(want, str) else want
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for event in self.seen:
                    if match(event):
                        return event
                left = end - time.monotonic()
                assert left > 0, f"no such event within {timeout} s; seen: {self.seen[-20:]}"
                assert not self.ended, f"the stream ended before; seen: {self.seen[-20:]}"
                self.changed.wait(left)

    def wait_count(self, count, timeout=10.0):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count or self.ended, timeout), \
                f"{len(self.seen)} events instead of {count} within {timeout} s"
            return list(self.seen)

    def wait_end(self, timeout=10.0):
        with self.changed:
            assert self.changed.wait_for(lambda: self.ended, timeout), "the stream did not end"


class Daemon:
    """shoald with a store of its own. `start` after `kill` or `stop` uses the same ports and store."""

    def __init__(self, folder, *options, build=None, wrapper=(), env=None, coap=None, store=None, http=None,
                 dtls=None):
        self.folder = pathlib.Path(folder)
        self.store = store or f"lmdb:{self.folder}/data"
        self.options = list(options)
        self.build, self.wrapper, self.env = build, list(wrapper), env or {}
        self.coap_port = coap or free_port()
        self.http_port = http or free_port()
        self.dtls_port = dtls or free_port()
        self.process, self.lines = None, []

    def __enter__(self):
        if self.process is None:
            self.start()
        return self

    def __exit__(self, *unused):
        self.kill()

    def arguments(self):
        return [*self.wrapper, program("shoald", self.build),
                "--coap-listen", f"[::]:{self.coap_port}", "--dtls-listen", f"[::]:{self.dtls_port}",
                "--http-listen", f"127.0.0.1:{self.http_port}",
                "--store-url", self.store, *self.options]

    def start(self, timeout=20.0):
        assert self.process is None
        # Settings of whoever runs the tests must not matter.
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHOAL_")} | self.env
        self.process = subprocess.Popen(self.arguments(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, env=env, cwd=self.folder)
        ready = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self.reader.start()
        try:
            line = ready.get(timeout=timeout)
        except queue.Empty:
            line = None
        if line is None:
            self.kill()
            raise AssertionError("shoald did not become ready:\n" + "".join(self.lines))
        return self

    def _read(self, process, ready):
        for line in process.stderr:
            line = line.decode(errors="replace")
            self.lines.append(line)
            if " ready " in line:
                ready.put(line)
        ready.put(None)

    @property
    def pid(self):
        """Of shoald itself, also when it runs under strace."""
        if not self.wrapper:
            return self.process.pid
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        return self._end(signal.SIGKILL)

    def stop(self, timeout=20.0):
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM, timeout)

    def _end(self, number, timeout=20.0):
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            target = process.pid
            if self.wrapper:
                with contextlib.suppress(OSError, IndexError):
                    children = pathlib.Path(f"/proc/{target}/task/{target}/children").read_text().split()
                    target = int(children[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, number)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"shoald did not end within {timeout} s of signal {number}:\n" + self.log[-4000:])
        self.reader.join(10)
        process.stderr.close()
        return code

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def rss(self):
        """Resident memory in bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def url(self, path):
        return f"http://127.0.0.1:{self.http_port}{path}"

    def http(self, method, path, body=None, content_type=None, headers=None, timeout=30.0):
        return fetch(method, self.url(path), body, content_type, headers, timeout)

    def get(self, path, **more):
        return self.http("GET", path, **more)

    def start_http(self, method, path, *arguments, **more):
        """The same in another thread: a Future of the Response."""
        return _executor.submit(self.http, method, path, *arguments, **more)

    def client(self, endpoint):
        """The registration of a device, or None."""
        answer = self.get("/api/clients/" + urllib.parse.quote(endpoint, safe=""))
        return answer.json if answer.status == 200 else None

    def events(self, query="", last_id=None):
        events = Events("127.0.0.1", self.http_port, query, last_id)
        assert events.status == 200, events.answer.read()
        return events

    def metrics(self):
        """{name or name{labels}: value}"""
        lines = self.get("/metrics").text.splitlines()
        return {k: float(v) for k, _, v in (line.rpartition(" ") for line in lines if line and line[0] != "#")}


@contextlib.contextmanager
def temp_dir():
    path = tempfile.mkdtemp(prefix="shoal-test-")
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def run(name, *arguments, build=None, timeout=30.0, env=None, cwd=None):
    """Runs a program to its end; CompletedProcess with text."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SHOAL_")} | (env or {})
    return subprocess.run([program(name, build), *arguments], capture_output=True, text=True, timeout=timeout,
                          env=clean, stdin=subprocess.DEVNULL, cwd=cwd)
