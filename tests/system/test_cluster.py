# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Three nodes over one Redis, and a fleet that must not notice what happens to them.

Each drill ends with the books: what devices were told is stored, against what the log has, read on one node; and with
the devices' own count of handshakes, of lost registrations and of errors.
"""

import concurrent.futures
import json
import os
import random
import signal
import subprocess
import time

import pytest

import cluster
import shoal
import test_drill
from coap_peer import Device

DEVICES, OBSERVED = 300, 60
PSK = "id-{ep}:000102030405060708090a0b0c0d0e0f"
MODES = {"plain": [], "cid": ["--psk", PSK], "no-cid": ["--psk", PSK, "--cid", "off"]}


@pytest.fixture
def nodes():
    with shoal.temp_dir() as folder, cluster.Cluster(folder, 3, "--coap-ack-timeout", "1s") as c:
        yield c


class Fleet:
    """A shoal-sim behind the balancer, whose devices update every two seconds and notify what is observed every second."""

    def __init__(self, nodes, mode, *options, count=DEVICES):
        self.nodes, self.count, self.secure = nodes, count, mode != "plain"
        self.balancer = nodes.coaps if self.secure else nodes.coap
        self.ledger, self.errors = nodes.folder / "ledger", nodes.folder / "fleet.err"
        if self.secure:
            written = shoal.run("shoal-sim", "--count", str(count), "--psk", PSK, "--write-credentials", "-")
            taken = nodes.nodes[0].http("POST", "/api/security/clients/import", written.stdout, "text/csv").json
            assert taken["taken"] == count, taken
        self.process = subprocess.Popen(
            [shoal.program("shoal-sim"), "--server", f"{'coaps' if self.secure else 'coap'}://127.0.0.1:{self.balancer.port}",
             "--count", str(count), "--rate", "200", "--lifetime", "300s", "--update-interval", "2s", "--notify-interval",
             "1s", "--con", "--ledger", str(self.ledger), "--json", *MODES[mode], *options],
            stdout=subprocess.PIPE, stderr=open(self.errors, "w"), stdin=subprocess.DEVNULL, text=True)

    def __enter__(self):
        shoal.wait_until(lambda: self.nodes.owned() == self.count, 60, "the whole fleet registered", 0.2)
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def observe(self, count=OBSERVED):
        def one(i):
            node = self.nodes.nodes[i % len(self.nodes.nodes)]
            return node.http("POST", f"/api/clients/sim-{i:06}/3303/0/5700/observe?timeout=30", timeout=60)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(one, range(1, count + 1)))
        assert all(a.status == 200 and a.json["success"] for a in answers), [a for a in answers if a.status != 200][:3]

    def end(self):
        """De-registers all; the sums."""
        self.process.send_signal(signal.SIGTERM)
        out = self.process.communicate(timeout=90)[0]
        assert self.process.returncode == 0, (out, self.errors.read_text()[-2000:])
        return json.loads(out)


def balance(nodes, fleet, summary, say):
    """The books of the whole run, from the log of all nodes."""
    node = nodes.alive()[0]
    assert nodes.owned() == 0
    with Device(node.coap_port, endpoint="the-last-one") as d:
        d.register()
    acks = test_drill.read_ledger(fleet.ledger)
    found, values = test_drill.summarise(test_drill.read_log(node, b'"the-last-one"'))
    found["register"].pop(next(k for k in found["register"] if k.startswith("the-last-one ")))
    wrong = test_drill.balance(acks, found, summary, say)
    assert not wrong, wrong[:20]
    assert sum(acks["deregister"].values()) == fleet.count
    assert sum(acks["notify"].values()) > OBSERVED
    assert all(series == sorted(series) for series in values.values())
    assert summary["registered"] == fleet.count and summary["registrationsLost"] == 0
    assert summary["handshakes"] == (fleet.count if fleet.secure else 0), summary
    return acks


def read_some(nodes, count=9):
    """From any node."""
    for i in range(1, count + 1):
        answer = nodes.alive()[i % len(nodes.alive())].get(f"/api/clients/sim-{i:06}/3/0/0?timeout=20", timeout=40)
        assert answer.status == 200 and answer.json["success"], answer


def updates(nodes):
    return nodes.total("shoal_updates_total")


def wait_updates(nodes, more, timeout=60):
    wanted = updates(nodes) + more
    shoal.wait_until(lambda: updates(nodes) >= wanted, timeout, f"{more} Updates", 0.2)


@pytest.mark.parametrize("mode", MODES)
def test_devices_are_sent_to_another_node_and_do_not_notice(nodes, mode, say):
    with Fleet(nodes, mode) as fleet:
        fleet.observe()
        for _ in range(3):
            fleet.balancer.rotate()
            wait_updates(nodes, fleet.count)
        read_some(nodes)
        assert nodes.owned() == fleet.count
        summary = fleet.end()
        balance(nodes, fleet, summary, say)
    assert summary["timeouts"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_node_dies_and_its_devices_do_not_notice(nodes, mode, say):
    seed = int(os.environ.get("SHOAL_DRILL_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
    say(f"seed {seed} (SHOAL_DRILL_SEED repeats the moments)")
    chooser = random.Random(seed)
    with Fleet(nodes, mode) as fleet:
        fleet.observe()
        for _ in range(3):
            victim = chooser.randrange(3)
            time.sleep(chooser.uniform(0.5, 2))
            nodes.nodes[victim].kill()
            fleet.balancer.avoid(victim)
            time.sleep(2 * cluster.LEASE)
            wait_updates(nodes, fleet.count)
            shoal.wait_until(lambda: nodes.owned() == fleet.count, 30, "all devices somewhere", 0.2)
            read_some(nodes)
            nodes.nodes[victim].start()
            fleet.balancer.remap(lambda client, before: client[1] % 3)
            wait_updates(nodes, fleet.count)
        summary = fleet.end()
        balance(nodes, fleet, summary, say)


@pytest.mark.parametrize("mode", MODES)
def test_a_node_leaves_and_its_devices_do_not_notice(nodes, mode, say):
    with Fleet(nodes, mode) as fleet:
        fleet.observe()
        for leaving in range(3):
            # As a balancer does that looks at leases: nobody new goes there, and soon nobody at all.
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                ended = pool.submit(nodes.nodes[leaving].stop)
                time.sleep(cluster.LEASE)
                fleet.balancer.avoid(leaving)
                assert ended.result() == 0
            read_some(nodes)
            shoal.wait_until(lambda: nodes.owned() == fleet.count, 30, "all devices somewhere", 0.2)
            wait_updates(nodes, fleet.count)
            nodes.nodes[leaving].start()
            fleet.balancer.remap(lambda client, before: client[1] % 3)
        summary = fleet.end()
        balance(nodes, fleet, summary, say)
    assert summary["timeouts"] == 0


def test_two_nodes_with_one_id(nodes):
    with shoal.temp_dir() as folder:
        twin = shoal.Daemon(folder, *nodes.nodes[0].options, store=nodes.redis.url)
        with pytest.raises(AssertionError, match="node-id-taken.*node. id"):
            twin.start()
    assert nodes.nodes[0].alive and "node-id-taken" not in nodes.nodes[0].log


def shoalctl(node, *words):
    return shoal.run("shoalctl", "--url", node.url(""), *words)


def test_any_node_tells_of_all(nodes):
    """The list, the nodes, whose a device is, and sending the devices of a node away, at a node that has none of them."""
    one, two, three = nodes.nodes
    with Device(one.coap_port, endpoint="here") as here, Device(two.coap_port, endpoint="there") as there:
        here.register()
        there.register()
        for node in nodes.nodes:
            listed = node.get("/api/clients").json
            assert sorted(d["endpoint"] for d in listed) == ["here", "there"]
            assert listed == [node.get(f"/api/clients/{d['endpoint']}").json for d in listed]
            told = node.get("/api/cluster").json
            assert [n["id"] for n in told["nodes"]] == [1, 2, 3] and told["partitions"] == 256
            assert sum(n["slots"] for n in told["nodes"]) == 4096
            assert [n["id"] for n in told["nodes"] if n["self"]] == [told["node"]]
            owners = {ep: node.get(f"/api/clients/{ep}/owner").json for ep in ("here", "there")}
            assert (owners["here"]["node"], owners["there"]["node"]) == (1, 2)
            assert owners["here"]["live"] and owners["there"]["live"]
        assert three.get("/api/clients/nobody/owner").status == 404
        assert len(shoalctl(three, "node").stdout.splitlines()) == 4
        assert shoalctl(three, "owner", "there").stdout.startswith("node 2, ")

        assert three.http("POST", "/api/cluster/nodes/9/drain").status == 404
        assert shoalctl(three, "node", "drain", "2").returncode == 0
        shoal.wait_until(lambda: "drained" in two.log, 20, "the drain")
        owner = three.get("/api/clients/there/owner").json
        assert owner["node"] != 2 and owner["live"] and owner["generation"] == owners["there"]["generation"] + 1
        states = {n["id"]: (n["state"], n["slots"]) for n in three.get("/api/cluster").json["nodes"]}
        assert states[2] == ("leaving", 0) and states[1][0] == states[3][0] == "up"
        assert two.alive and two.get("/api/clients/there").json["endpoint"] == "there"
    assert two.stop() == 0


def test_a_list_without_a_store(nodes):
    nodes.redis.kill()
    answer = nodes.nodes[0].http("GET", "/api/clients", timeout=60)
    assert answer.status == 503, answer
    shoal.wait_until(lambda: nodes.nodes[0].get("/api/cluster").json["storeAway"], 20, "what /api/cluster says")


PUMP = ("<LWM2M><Object><Name>Pump</Name><ObjectID>33000</ObjectID><ObjectVersion>1.1</ObjectVersion>"
        "<MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Resources/></Object></LWM2M>")


def test_what_is_changed_at_one_node_holds_at_all(nodes):
    one, two, three = nodes.nodes
    made = one.http("POST", "/api/tokens", {"role": "read"}).json
    bearer = {"Authorization": f"Bearer {made['token']}"}
    for node in nodes.nodes:
        shoal.wait_until(lambda: node.get("/api/clients", headers=bearer).status == 200, 5, "the token")
    shoal.wait_until(lambda: three.http("DELETE", f"/api/tokens/{made['id']}").status == 204, 5, "its end")
    for node in nodes.nodes:
        shoal.wait_until(lambda: node.get("/api/clients", headers=bearer).status == 401, 5, "its end everywhere")

    assert one.http("PUT", "/api/models", PUMP, "application/xml").status == 200
    for node in nodes.nodes:
        shoal.wait_until(lambda: node.get("/api/models/33000/1.1").status == 200, 5, "the definition")
    assert two.http("DELETE", "/api/models/33000/1.1").status == 204
    for node in nodes.nodes:
        shoal.wait_until(lambda: node.get("/api/models/33000/1.1").status == 404, 5, "its end")


def test_a_credential_that_goes_at_one_node_ends_the_session_at_another(nodes):
    with Fleet(nodes, "cid", count=6):
        assert nodes.total("shoal_dtls_associations") == 6
        for left in range(5, -1, -1):
            name = f"sim-{left + 1:06}"
            owner = nodes.nodes[0].get(f"/api/clients/{name}/owner").json["node"]
            other = nodes.nodes[owner % 3]  # ids begin with 1: never the owner itself
            assert other.http("DELETE", f"/api/security/clients/{name}").status in (200, 204)
            shoal.wait_until(lambda: nodes.total("shoal_dtls_associations") == left, 10, "the end of its session")
