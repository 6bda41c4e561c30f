# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""`shoald --nodes N`: nodes on one machine which share their ports, under a supervisor."""

import os
import pathlib
import secrets
import signal
import socket
import subprocess

import pytest

import shoal

NODES, DEVICES = 3, 40
PING = b"\x40\x00\x12\x34"  # an empty confirmable message: the answer is a reset with its id (RFC 7252, 4.3)
PONG = b"\x70\x00\x12\x34"


@pytest.fixture
def redis(tmp_path):
    """The URL of a Redis of its own."""
    path = tmp_path / "redis.sock"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                               "--maxmemory-policy", "noeviction", "--dir", tmp_path, "--logfile", tmp_path / "redis.log"])
    try:
        shoal.wait_until(path.exists, what="the socket of Redis")
        yield f"redis+unix://{path}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def nodes(redis, tmp_path):
    """A supervisor with its nodes, and the port for CoAP."""
    key, coap, http = tmp_path / "key", shoal.free_port(), shoal.free_port()
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    supervisor = subprocess.Popen(
        [shoal.program("shoald"), f"--nodes={NODES}", "--store-url", redis, "--node-cluster-key-file", key,
         "--coap-listen", f"[::]:{coap}", "--dtls-listen", "none", "--http-listen", f"127.0.0.1:{http}"],
        stderr=subprocess.PIPE, text=True)
    try:
        read_until(supervisor, "node-ready", NODES)
        yield supervisor, coap, http
    finally:
        supervisor.kill()
        supervisor.wait(10)


def read_until(supervisor, event, count):
    """Its log up to the count-th line of this event."""
    lines = []
    while sum(f" {event} " in line for line in lines) < count:
        line = supervisor.stderr.readline()
        assert line, "".join(lines)
        lines.append(line)
    return lines


def children(supervisor):
    return {int(pid) for pid in
            pathlib.Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()}


def pings(port, family):
    """How many devices got no answer though they asked for some seconds, and how often all of them asked."""
    where = ("::1" if family == socket.AF_INET6 else "127.0.0.1", port)
    waiting, sent = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(DEVICES)], 0
    for device in waiting:
        device.settimeout(0.2)
    for _ in range(20):
        for device in waiting:
            device.sendto(PING, where)
            sent += 1
        left = []
        for device in waiting:
            try:
                assert device.recv(64) == PONG
                device.close()
            except TimeoutError:
                left.append(device)
        waiting = left
        if not waiting:
            break
    for device in waiting:
        device.close()
    return len(waiting), sent


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_all_serve_and_one_that_is_killed_comes_back(nodes, family):
    supervisor, coap, http = nodes
    before = children(supervisor)
    assert len(before) == NODES
    assert pings(coap, family) == (0, DEVICES)
    assert shoal.fetch("GET", f"http://127.0.0.1:{http}/api/clients").status == 200

    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    lines = read_until(supervisor, "node-died", 1)
    assert f"signal={signal.SIGKILL.value}" in lines[-1]
    # What it had goes to the others at once: nobody asks twice.
    assert pings(coap, family) == (0, DEVICES)
    read_until(supervisor, "node-ready", 1)
    after = children(supervisor)
    assert len(after) == NODES and len(after & before) == NODES - 1
    assert pings(coap, family) == (0, DEVICES)

    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in after)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as port:
        port.bind(("::", coap))  # nobody has it any more


def test_a_store_of_one_node_is_refused(tmp_path):
    refused = subprocess.run([shoal.program("shoald"), "--nodes=2", "--store-url", f"lmdb:{tmp_path}/store"],
                             capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "redis://" in refused.stderr
    assert not list(tmp_path.iterdir())
