# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Faults of what is around three nodes: a store that is away, or comes back empty.

A fleet under load, and the books at the end, as in test_cluster.py.
"""

import collections
import contextlib
import os
import signal
import time

import pytest

import cluster
import shoal
import test_drill
from coap_peer import Device
from test_cluster import Fleet, balance, read_some, wait_updates

DEVICES, OBSERVED = 150, 60


@pytest.fixture
def nodes():
    with shoal.temp_dir() as folder, cluster.Cluster(folder, 3, "--coap-ack-timeout", "1s") as c:
        yield c


@contextlib.contextmanager
def paused(pid):
    """A process that stands still, as one does whose machine is moved."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def owners(nodes):
    return [n.metrics()["shoal_devices"] for n in nodes.nodes]


def all_served(nodes, count):
    """Each device has updated at least as often as it does in two rounds of the fleet."""
    wait_updates(nodes, 2 * count)
    shoal.wait_until(lambda: nodes.owned() == count, 30, "all devices somewhere", 0.2)


@pytest.mark.parametrize("mode", ["plain", "cid"])
def test_the_store_is_away_for_four_leases(nodes, mode, say):
    with Fleet(nodes, mode, count=DEVICES) as fleet:
        fleet.observe(OBSERVED)
        wait_updates(nodes, fleet.count)
        before = owners(nodes)
        with paused(nodes.redis.process.pid):
            time.sleep(4 * cluster.LEASE)
            # Nobody is declared dead, and nothing is acknowledged that is not stored.
            assert owners(nodes) == before
            acked = fleet.ledger.read_text().count("\n")
            time.sleep(0.5)
            assert fleet.ledger.read_text().count("\n") == acked
        all_served(nodes, fleet.count)
        assert owners(nodes) == before, "the balancer moved nobody"
        assert nodes.total("shoal_expiries_total") == 0
        assert not any("node-gone" in n.log for n in nodes.nodes)
        read_some(nodes)
        summary = fleet.end()
        balance(nodes, fleet, summary, say)


@pytest.mark.parametrize("mode", ["plain", "cid"])
def test_the_store_comes_back_empty(nodes, mode, say):
    """What it had promised to keep was nothing: the registrations live on in the memory of the nodes."""
    with Fleet(nodes, mode, count=DEVICES) as fleet, Device(nodes.coap.port) as silent:
        fleet.observe(OBSERVED)
        silent.register()
        wait_updates(nodes, fleet.count)
        before = owners(nodes)
        nodes.redis.kill()
        # What was acknowledged up to here went with the log.
        time.sleep(1)
        old = fleet.ledger.read_text().count("\n")
        nodes.redis.start()
        shoal.wait_until(lambda: nodes.total("shoal_restored_total") > fleet.count, 60, "all devices restored", 0.2)
        all_served(nodes, fleet.count + 1)
        assert owners(nodes) == before and nodes.redis.command("DBSIZE") != "0"
        # And what was restored is whole: other nodes can go on with it.
        for balancer in (nodes.coap, nodes.coaps):
            balancer.rotate()
        all_served(nodes, fleet.count + 1)
        assert silent.update().text == "2.04"
        read_some(nodes)
        summary = fleet.end()
        assert summary["registrationsLost"] == 0 and summary["registered"] == fleet.count
        assert summary["handshakes"] == (fleet.count if fleet.secure else 0), summary
        node = nodes.nodes[0]
        with Device(node.coap_port, endpoint="the-last-one") as d:
            d.register()
        found, values = test_drill.summarise(test_drill.read_log(node, b'"the-last-one"'))
        acks = collections.defaultdict(collections.Counter)
        for line in fleet.ledger.read_text().splitlines()[old:]:
            _, kind, rest = line.split(" ", 2)
            acks[kind][rest] += 1
        del found["register"]
        assert not acks["register"]
        wrong = test_drill.balance(acks, found, summary, say)
        assert not wrong, wrong[:20]
        assert sum(acks["deregister"].values()) == fleet.count and sum(acks["notify"].values()) > OBSERVED
        assert all(series == sorted(series) for series in values.values())


@pytest.mark.parametrize("mode", ["plain", "cid", "no-cid"])
def test_a_node_stands_still_longer_than_its_lease(nodes, mode, say):
    with Fleet(nodes, mode, count=DEVICES) as fleet:
        fleet.observe(OBSERVED)
        for victim in range(3):
            still = nodes.nodes[victim]
            shoal.wait_until(lambda: still.metrics()["shoal_devices"] > 0, 10, "devices to lose")
            with paused(still.pid):
                # What comes to it now is in its socket when it wakes, and somebody else has acted on it by then.
                time.sleep(1)
                fleet.balancer.avoid(victim)
                time.sleep(2 * cluster.LEASE)
                others = [n for n in nodes.nodes if n is not still]
                shoal.wait_until(lambda: sum(n.metrics()["shoal_devices"] for n in others) == fleet.count, 60,
                                 "all devices at the others", 0.2)
            # It wakes, and believes for a moment that all is as it was.
            shoal.wait_until(lambda: still.metrics()["shoal_devices"] == 0, 30, "it knows better", 0.2)
            all_served(nodes, fleet.count)
            read_some(nodes)
            fleet.balancer.remap(lambda client, before: client[1] % 3)
            wait_updates(nodes, fleet.count)
        summary = fleet.end()
        balance(nodes, fleet, summary, say)
