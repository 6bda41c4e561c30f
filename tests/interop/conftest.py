# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Clients which nobody here wrote, and how a test drives them."""

import contextlib
import hashlib
import json
import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading

import pytest

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parents[1] / "build" / "interop"


@pytest.fixture(scope="session")
def node_modules():
    """The folder of the npm packages in package-lock.json. Installed once per lock file, and whole or not at all."""
    files = [HERE / "package.json", HERE / "package-lock.json"]
    place = CACHE / hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = pathlib.Path(tempfile.mkdtemp(dir=CACHE, prefix="install-"))
        try:
            for file in files:
                shutil.copy(file, work)
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, check=True,
                           stdin=subprocess.DEVNULL, timeout=300)
            # Fails only when another run was faster, and then its folder is as good.
            with contextlib.suppress(OSError):
                work.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place / "node_modules"


class Script:
    """A Node.js script that tells what happens as JSON lines."""

    def __init__(self, script, arguments, node_modules):
        self.process = subprocess.Popen(["node", str(HERE / script), *map(str, arguments)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, "NODE_PATH": str(node_modules)})
        self.told, self.errors = queue.Queue(), []
        self.threads = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.told.put(json.loads(line))

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def do(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def wait(self, what, timeout=10.0):
        """The next message of this kind; others are dropped, an error fails."""
        while True:
            try:
                message = self.told.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"the device did not tell {what!r} within {timeout} s: {self.errors}")
            assert message["what"] != "error", message
            if message["what"] == what:
                return message

    def end(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def script(node_modules):
    """script(file, *arguments) runs it until the test ends."""
    running = []

    def begin(file, *arguments):
        running.append(Script(file, arguments, node_modules))
        return running[-1]

    yield begin
    for one in running:
        one.end()
