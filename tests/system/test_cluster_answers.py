# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Devices whose every datagram the test chooses, and the node to which it goes."""

import time

import pytest

import cluster
import shoal
from coap_peer import ACK, BLOCK2, OBSERVE, TEXT, Device, response


@pytest.fixture
def nodes():
    with shoal.temp_dir() as folder, cluster.Cluster(folder, 3, "--coap-ack-timeout", "5s",
                                                     "--lwm2m-lifetime-grace", "0s") as c:
        # What is passed on over a link that is not there yet is lost, as datagrams may be.
        shoal.wait_until(lambda: all(n.log.count("node-there") == 2 for n in c.nodes), 10, "all nodes met")
        yield c


def speak_to(nodes, index):
    """From now on the datagrams of all devices go to this node."""
    nodes.coap.remap(lambda client, before: index)


def owner_of(nodes):
    return [i for i, n in enumerate(nodes.nodes) if n.alive and n.metrics()["shoal_devices"]]


def block(number, more):
    return (number << 4 | more << 3 | 0).to_bytes(1, "big")  # 16 bytes each


def ask(node, device, path="/3/0/0", method="GET", more="&format=TEXT"):
    return node.start_http(method, f"/api/clients/{device.endpoint}{path}?timeout=20{more}", timeout=40)


def test_an_answer_arrives_at_another_node(nodes):
    with Device(nodes.coap.port) as d:
        speak_to(nodes, 0)
        d.register()
        # Piggybacked.
        call = ask(nodes.nodes[0], d)
        request = d.next_request()
        speak_to(nodes, 1)
        d.answer(request, "2.05", b"one", format=TEXT)
        assert call.result().json["content"]["value"] == "one"
        # An ACK, and the answer after it, each at another node.
        call = ask(nodes.nodes[0], d)
        request = d.next_request()
        d.acknowledge(request)
        speak_to(nodes, 2)
        answer = d.send(response(request, "2.05", b"two", format=TEXT))
        d.expect(lambda m: m.type == ACK and m.mid == answer.mid)
        assert call.result().json["content"]["value"] == "two"
        # A body in blocks, one at each node.
        call = ask(nodes.nodes[0], d)
        parts = [b"0123456789abcdef", b"ghijklmnopqrstuv", b"wxyz"]
        for i, part in enumerate(parts):
            request = d.next_request()
            speak_to(nodes, i)
            d.answer(request, "2.05", part, [(BLOCK2, block(i, i < 2))], TEXT)
        assert call.result().json["content"]["value"] == b"".join(parts).decode()
        # An answer is no reason to move.
        assert owner_of(nodes) == [0]
        assert nodes.total("shoal_request_timeouts_total") == 0 and nodes.total("shoal_coap_retransmissions_total") == 0




def test_a_notification_comes_again_at_another_node(nodes):
    with Device(nodes.coap.port) as d, nodes.nodes[2].events(f"?ep={d.endpoint}") as events:
        speak_to(nodes, 0)
        d.register()
        call = ask(nodes.nodes[0], d, "/3303/0/5700/observe", "POST")
        observe = d.serve_one("2.05", b"0", TEXT, [(OBSERVE, b"\x01")])
        assert call.result().json["success"]
        first = d.notify(observe, 2, b"1")
        acks = [d.expect(lambda m: m.mid == first.mid)]
        for index in (1, 2, 0):
            time.sleep(1.1)  # a device without security moves once a second
            speak_to(nodes, index)
            d.send(first)
            acks.append(d.expect(lambda m: m.mid == first.mid))
        assert all((m.type, m.code) == (ACK, 0) for m in acks), acks
        last = d.notify(observe, 3, b"2")
        d.expect(lambda m: m.mid == last.mid and m.type == ACK)
        events.wait(lambda e: e.name == "NOTIFICATION" and float(e.data["val"]["value"]) == 2)
        told = [float(e.data["val"]["value"]) for e in events.seen if e.name == "NOTIFICATION"]
        assert told.count(1) == 1 and told.count(2) == 1, told


def test_the_owner_dies_between_a_request_and_its_answer(nodes):
    with Device(nodes.coap.port) as d:
        speak_to(nodes, 0)
        d.register()
        # What acts is never sent twice: its caller is told that nobody knows.
        call = ask(nodes.nodes[2], d, "/3/0/4", "POST", "")
        d.next_request()
        nodes.nodes[0].kill()
        speak_to(nodes, 1)
        answer = call.result()
        assert answer.status == 504 and answer.text.strip(), answer
        time.sleep(2 * cluster.LEASE)
        assert d.update().text == "2.04"
        d.silence(2 * cluster.LEASE)
        assert owner_of(nodes) == [1]
        # What only reads may be asked again.
        call = ask(nodes.nodes[2], d)
        d.next_request()
        nodes.nodes[1].kill()
        speak_to(nodes, 2)
        deadline = time.monotonic() + 20
        while not call.done() and time.monotonic() < deadline:
            again = d.receive(0.2)
            if again and again.code == 1:
                d.answer(again, "2.05", b"here", format=TEXT)
        answer = call.result()
        assert answer.status == 504 and answer.text.strip() or answer.json["content"]["value"] == "here", answer


def test_life_times_end_once_without_their_node(nodes):
    devices = [Device(nodes.nodes[i % 3].coap_port) for i in range(12)]
    with nodes.nodes[1].events() as events:
        for d in devices:
            d.register(lt=5)
        nodes.nodes[0].kill()
        names = {d.endpoint for d in devices}

        def ended():
            return [e.data["endpoint"] for e in events.seen if e.name == "DEREGISTRATION"]

        shoal.wait_until(lambda: set(ended()) >= names, 60, "all life times over")
        time.sleep(3)
        assert sorted(ended()) == sorted(names)
        assert nodes.owned() == 0
    for d in devices:
        d.close()


def test_events_of_all_nodes_are_told_at_each_and_go_on_at_another(nodes):
    with Device(nodes.nodes[0].coap_port) as a, Device(nodes.nodes[1].coap_port) as b:
        with nodes.nodes[2].events() as events:
            a.register()
            b.register()
            shoal.wait_until(lambda: len([e for e in events.seen if e.name == "REGISTRATION"]) == 2)
            last = events.seen[-1].id
        for d in (a, b, a, b):
            assert d.update().text == "2.04"
        nodes.nodes[2].kill()
        with nodes.nodes[1].events(last_id=last) as events:
            a.deregister()
            b.deregister()
            shoal.wait_until(lambda: len([e for e in events.seen if e.name == "DEREGISTRATION"]) == 2)
            for d in (a, b):
                assert [e.name for e in events.seen if d.endpoint in str(e.data) and e.id != last] == \
                    ["UPDATED", "UPDATED", "DEREGISTRATION"]
