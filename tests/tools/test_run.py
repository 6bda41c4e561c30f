# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""./run starts the server, says where to go only once that is true, and leaves nothing behind."""

import contextlib
import http.client
import http.server
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

import shoal


class Run:
    """./run in the build under test, on free ports, with a store of its own."""

    def __init__(self, folder, *options, http_port=None, by_option=True):
        self.http_port, self.coap_port = http_port or shoal.free_port(), shoal.free_port()
        if by_option:
            options = ("--http-listen", f"127.0.0.1:{self.http_port}", *options)
        self.output = folder / "output"
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHOAL_")}
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                [shoal.ROOT / "run", *options],
                env={**env, "SHOAL_BUILD": str(shoal.build_dir()), "SHOAL_COAP_LISTEN": f"0.0.0.0:{self.coap_port}",
                     "SHOAL_STORE_URL": f"lmdb:{folder}/data", "SHOAL_DATA": str(folder / "data")},
                stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True)

    @property
    def text(self):
        return self.output.read_text()

    def wait_hint(self):
        def told():
            assert self.process.poll() is None, self.text
            return "curl" in self.text

        # By hand this may be the first build.
        shoal.wait_until(told, 120, "the hint")

    def fetch(self, path):
        return shoal.fetch("GET", f"http://127.0.0.1:{self.http_port}{path}")

    def group(self):
        """Processes that belong to this run and are no zombies."""
        listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True).stdout
        rows = (line.split(None, 2) for line in listed.splitlines())
        return [args for pgid, stat, args in rows if int(pgid) == self.process.pid and "Z" not in stat]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(20)
        shoal.wait_until(lambda: not self.group(), what="the end of all processes")
        return code

    def clean_up(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@pytest.fixture
def run(folder):
    running = []

    def begin(*options, **more):
        running.append(Run(folder, *options, **more))
        return running[-1]

    yield begin
    for one in running:
        one.clean_up()


def test_it_says_where_to_go_and_that_is_true(run):
    it = run()
    it.wait_hint()
    curl = re.search(r"curl (http://\S+)", it.text).group(1)
    assert curl == f"http://127.0.0.1:{it.http_port}/api/clients"
    assert shoal.fetch("GET", curl).json == []
    assert f"coap://127.0.0.1:{it.coap_port} " in it.text
    command = re.search(r"\S+/shoalctl .*", it.text).group().split()
    assert subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    assert it.end() == 0


def test_the_demo_has_five_devices_and_ends_with_the_server(run):
    it = run("--demo")
    it.wait_hint()
    shoal.wait_until(lambda: len(it.fetch("/api/clients").json) == 5, 30, "five devices")
    assert any("shoal-sim" in process for process in it.group())
    assert it.end() == 0


def test_the_demo_ends_when_the_server_is_killed(run):
    it = run("--demo")
    it.wait_hint()
    shoal.wait_until(lambda: any("shoal-sim" in process for process in it.group()), 30, "the devices")
    assert it.end(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
def test_three_nodes_on_a_redis_that_ends_with_them(run, folder):
    def redis(*words):
        return subprocess.run(["redis-cli", "-s", str(folder / "data" / "redis" / "redis.sock"), *words],
                              capture_output=True, text=True).stdout.strip()

    def nodes():
        with contextlib.suppress(OSError, http.client.HTTPException):  # the node that answers may be the one that dies
            return {n["id"]: n["incarnation"] for n in it.fetch("/api/cluster").json["nodes"]}
        return {}

    for options in (["--cluster", "--demo"], ["--cluster"]):
        it = run(*options)
        it.wait_hint()
        shoal.wait_until(lambda: len(nodes()) == 3, 30, "three nodes")
        # What is in Redis outlives both.
        shoal.wait_until(lambda: len(it.fetch("/api/clients").json) == 5, 30, "five devices")
        assert redis("CONFIG", "GET", "appendonly").endswith("yes") and redis("CONFIG", "GET", "port").endswith("0")
        before = shoal.wait_until(lambda: len(found := nodes()) == 3 and found, 30, "three nodes, at whichever is asked")
        victim = int(re.search(r"node-ready index=1 pid=(\d+)", it.text).group(1))
        os.kill(victim, signal.SIGKILL)
        shoal.wait_until(lambda: nodes().get(2, 0) > before[2], 30, "the second node again")
        it.end(signal.SIGKILL if len(options) == 1 else signal.SIGTERM)
        shoal.wait_until(lambda: redis("PING") != "PONG", 30, "the end of Redis")
    assert (folder / "data" / "cluster.key").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("form", ["--config={}", "-c{}", "--config {}"])
def test_addresses_in_a_configuration_file_are_found(run, folder, form):
    port = shoal.free_port()
    file = folder / "shoald.conf"
    file.write_text(f"[log]\nlevel = warn\n [http]\n# listen = 127.0.0.1:1\n listen : 127.0.0.1:{port}\n[store]\n")
    it = run(*form.format(file).split(), http_port=port, by_option=False)
    it.wait_hint()
    assert f"curl http://127.0.0.1:{port}/" in it.text
    assert it.end() == 0


def test_options_go_to_the_server_and_its_errors_come_back(run):
    it = run("--no-such-option")
    assert it.process.wait(30) == 2
    shoal.wait_until(lambda: not it.group(), what="the end of all processes")
    assert "--no-such-option" in it.text and "curl" not in it.text


def test_another_server_on_the_port_is_not_taken_for_shoal(run):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *unused):
            pass

    # HTTP/1.0 by default; shoal speaks 1.1.
    Handler.protocol_version = "HTTP/1.1"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            it = run(http_port=other.server_address[1])
            assert it.process.wait(30) == 1
            assert "another server answers" in it.text and "curl" not in it.text
        finally:
            other.shutdown()
            thread.join()


def test_help_builds_nothing(folder):
    result = subprocess.run([shoal.ROOT / "run", "--help"], capture_output=True, text=True, cwd=folder,
                            env={**os.environ, "SHOAL_BUILD": str(folder / "nothing")})
    assert result.returncode == 0 and result.stdout.startswith("usage: ./run [--demo]")
    assert not (folder / "nothing").exists()
