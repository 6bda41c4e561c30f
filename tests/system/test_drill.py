# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The failure drill of one node: a fleet under load, ten kills at random moments, and the books are balanced."""

import collections
import concurrent.futures
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

import coap_peer
import shoal
from coap_peer import Device

DEVICES, OBSERVED, KILLS = 2000, 500, 10


def fleet(daemon, folder):
    """2,000 devices that update every four seconds and notify confirmably what is observed, every second."""
    return subprocess.Popen(
        [shoal.program("shoal-sim"), "--server", f"coap://127.0.0.1:{daemon.coap_port}", "--count", str(DEVICES),
         "--rate", "500", "--lifetime", "300s", "--update-interval", "4s", "--notify-interval", "1s", "--con",
         "--ledger", str(folder / "ledger"), "--json"],
        stdout=subprocess.PIPE, stderr=open(folder / "fleet.err", "w"), stdin=subprocess.DEVNULL, text=True)


def registered(daemon):
    return daemon.metrics()["shoal_devices"]


def observe_some(daemon):
    def one(i):
        return daemon.http("POST", f"/api/clients/sim-{i:06}/3303/0/5700/observe?timeout=30", timeout=60)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(1, OBSERVED + 1)))
    assert all(a.status == 200 and a.json["success"] for a in answers), [a for a in answers if a.status != 200][:3]


def read_ledger(path):
    """Counter of the lines of each kind, without the words "ack" and the kind."""
    acks = collections.defaultdict(collections.Counter)
    for line in path.read_text().splitlines():
        ack, kind, rest = line.split(" ", 2)
        assert ack == "ack"
        acks[kind][rest] += 1
    return acks


def read_log(daemon, last):
    """All events from the beginning of the log to the one in whose data the text `last` occurs, one at a time."""
    with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=60) as s:
        s.sendall(b"GET /api/event HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: 0\r\n\r\n")
        stream = s.makefile("rb", 1 << 20)
        assert b" 200 " in stream.readline()
        while stream.readline().strip():
            pass
        fields = {}
        while line := stream.readline():
            name, _, value = line.rstrip(b"\r\n").partition(b": ")
            if name:
                fields[name] = value
                continue
            if b"data" in fields:
                yield fields[b"event"].decode(), fields[b"id"].decode(), json.loads(fields[b"data"])
                if last in fields[b"data"]:
                    return
            fields = {}
    raise AssertionError("the event stream ended before the last event")


def summarise(events):
    found = collections.defaultdict(collections.Counter)
    values, ids = collections.defaultdict(list), set()
    for name, id, data in events:
        assert name != "GAP" and id not in ids
        ids.add(id)
        if name == "REGISTRATION":
            found["register"][f"{data['endpoint']} {data['registrationId']}"] += 1
        elif name == "UPDATED":
            found["update"][data["registration"]["endpoint"]] += 1
        elif name == "DEREGISTRATION" and data["reason"] == "client":
            found["deregister"][data["endpoint"]] += 1
        elif name == "NOTIFICATION":
            value = int(float(data["val"]["value"]))
            found["notify"][f"{data['ep']} {data['res']} {value}"] += 1
            values[data["ep"], data["res"]].append(value)
    return found, values


def balance(acks, found, summary, say):
    """Prints the books, and returns what is wrong with them."""
    wrong = []
    sent = {"notify": summary["notificationsSent"]}
    for kind in ("register", "update", "notify", "deregister"):
        acked, there = acks[kind], found[kind]
        missing = acked - there
        # Of updates and de-registrations of a device the log tells how many there were, of others each its name.
        doubled = collections.Counter({k: n - 1 for k, n in there.items() if n > 1})
        if kind in ("update", "deregister"):
            doubled = collections.Counter({k: n - acked[k] for k, n in there.items() if n > acked[k] + 1})
        say(f"{kind}: sent {sent.get(kind, '-')} acked {sum(acked.values())} found {sum(there.values())} "
              f"missing {sum(missing.values())} duplicates {sum(doubled.values())}")
        # What was under way at the end is stored and no longer acknowledged: little, and of what has no name it must be.
        if kind in ("update", "deregister") and sum(there.values()) > sum(acked.values()) + DEVICES // 10:
            wrong.append((kind, "more than was acknowledged", sum(there.values()) - sum(acked.values())))
        wrong += [(kind, "missing", *x) for x in missing.items()] + [(kind, "doubled", *x) for x in doubled.items()]
    return wrong


def test_what_was_acknowledged_to_2000_devices_is_stored_once_through_ten_kills(start, folder, say):
    seed = int(os.environ.get("SHOAL_DRILL_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
    say(f"seed {seed} (SHOAL_DRILL_SEED repeats the moments)")
    chooser = random.Random(seed)
    daemon = start("--coap-ack-timeout", "1s", "--log-level", "info")
    sim = fleet(daemon, folder)
    try:
        shoal.wait_until(lambda: registered(daemon) == DEVICES, 30, "the whole fleet registered", 0.2)
        observe_some(daemon)
        for _ in range(KILLS):
            time.sleep(chooser.uniform(0.3, 3.5))
            daemon.kill()
            # A restart is not always at once.
            time.sleep(chooser.choice((0, 0, 0.5)))
            begin = time.monotonic()
            daemon.start()
            assert time.monotonic() - begin < 10
            assert registered(daemon) == DEVICES
        # All that is on its way arrives.
        time.sleep(4)
        sim.send_signal(signal.SIGTERM)
        summary = json.loads(sim.communicate(timeout=60)[0])
        assert sim.returncode == 0, (summary, (folder / "fleet.err").read_text()[-2000:])
    finally:
        if sim.poll() is None:
            sim.kill()
            sim.communicate()
    assert registered(daemon) == 0
    with Device(daemon.coap_port, endpoint="the-last-one") as d:
        d.register()
    acks = read_ledger(folder / "ledger")
    found, values = summarise(read_log(daemon, b'"the-last-one"'))
    found["register"].pop(next(k for k in found["register"] if k.startswith("the-last-one ")))
    wrong = balance(acks, found, summary, say)
    assert not wrong, wrong[:20]
    # There was load, it was spread over the kills, and nobody was told two things in the wrong order.
    assert sum(acks["register"].values()) >= DEVICES and sum(acks["deregister"].values()) == DEVICES
    assert sum(acks["update"].values()) > DEVICES and sum(acks["notify"].values()) > OBSERVED
    assert all(series == sorted(series) for series in values.values())
