# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Bodies in blocks (RFC 7959), composites and Send, by raw datagrams."""

import json

import cbor2
import pytest

import coap_peer
from coap_peer import (ACCEPT, BLOCK1, BLOCK2, CON, CONTENT_FORMAT, FETCH, IPATCH, LINK, OBSERVE, OPAQUE, POST, RST,
                       SENML_CBOR, SENML_JSON, SIZE1, TEXT, Device, Message, uint)


def block(number, more, szx):
    return uint(number << 4 | more << 3 | szx)


def unblock(value):
    n = int.from_bytes(value, "big")
    return n >> 4, bool(n & 8), n & 7


@pytest.fixture
def device(daemon):
    with Device(daemon.coap_port) as d:
        yield d


@pytest.fixture
def registered(device):
    device.register()
    return device


LONG_LINKS = b"</1/0>,</3/0>" + b"".join(b",</3303/%d>" % i for i in range(150))


def pieces(body, szx):
    size = 16 << szx
    return [body[i:i + size] for i in range(0, len(body), size)]


def send_blocks(device, message, body, szx=5, numbers=None):
    """Sends `body` by Block1, each block with a token of its own; the answers."""
    parts, answers = pieces(body, szx), []
    for i in numbers or range(len(parts)):
        options = message.options + [(BLOCK1, block(i, i + 1 < len(parts), szx))]
        answers.append(device.exchange(Message(CON, message.code, token=b"t%03d" % i, options=options, payload=parts[i])))
    return answers


def test_a_register_in_blocks_with_a_new_token_for_each_is_one_registration(daemon, device):
    with daemon.events(f"?ep={device.endpoint}") as events:
        answers = send_blocks(device, device.register_message(), LONG_LINKS)
        assert [a.text for a in answers[:-1]] == ["2.31"] * (len(answers) - 1)
        assert all(unblock(a.one(BLOCK1))[0] == i for i, a in enumerate(answers[:-1]))
        assert answers[-1].text == "2.01"
        registration = daemon.client(device.endpoint)
        assert answers[-1].location == "/rd/" + registration["registrationId"]
        assert len(registration["objectLinks"]) == 152
        device.location = answers[-1].location
        device.update()
        events.wait("UPDATED")
        assert [e.name for e in events.seen] == ["REGISTRATION", "UPDATED"]


def test_a_missing_block_is_4_08_and_the_transfer_begins_again(daemon, device):
    answers = send_blocks(device, device.register_message(), LONG_LINKS, numbers=[0, 2])
    assert [a.text for a in answers] == ["2.31", "4.08"]
    assert send_blocks(device, device.register_message(), LONG_LINKS)[-1].text == "2.01"
    assert len(daemon.client(device.endpoint)["objectLinks"]) == 152


def test_a_body_that_is_too_long_is_4_13(daemon, device):
    answers = send_blocks(device, device.register_message(), b"</3/0>" + b",</3303/1>" * 9000, szx=6)
    assert answers[-1].text in ("2.31", "4.13", "4.08")
    assert "4.13" in [a.text for a in answers]
    assert daemon.client(device.endpoint) is None


def test_an_answer_in_blocks_is_fetched_until_it_is_whole(daemon, registered):
    d = registered
    body = bytes(range(256)) * 9
    read = daemon.start_http("GET", f"/api/clients/{d.endpoint}/12345/0/1?format=OPAQUE")
    parts = pieces(body, 5)
    for i, part in enumerate(parts):
        request = d.next_request()
        wanted = request.one(BLOCK2)
        assert (wanted is None and i == 0) or unblock(wanted)[0] == i
        d.answer(request, "2.05", part, [(BLOCK2, block(i, i + 1 < len(parts), 5))], OPAQUE)
    assert read.result().json["content"]["value"] == body.hex()


def test_what_is_written_in_blocks_follows_the_device_to_smaller_ones(daemon, registered):
    d = registered
    body = bytes(i * 7 & 255 for i in range(5000))
    write = daemon.start_http("PUT", f"/api/clients/{d.endpoint}/5/0/0?timeout=10",
                              {"id": 0, "kind": "singleResource", "type": "OPAQUE", "value": body.hex()})
    received = b""
    while True:
        request = d.next_request()
        number, more, szx = unblock(request.one(BLOCK1))
        if not received:
            assert number == 0 and request.number(SIZE1) == len(body)
        assert len(received) == number * (16 << szx)
        received += request.payload
        if not more:
            break
        # The first block is taken as it is; those behind it are to have 256 bytes (RFC 7959, figure 9).
        assert szx == 4 or number == 0
        d.answer(request, "2.31", options=[(BLOCK1, block(number, True, 4))])
    d.answer(request, "2.04", options=[(BLOCK1, block(number, False, szx))])
    assert received == body
    assert write.result().json["status"] == "CHANGED(204)"


def senml(payload):
    """(name, value) of each record; a base name holds until the next one."""
    base, out = "", []
    for record in json.loads(payload):
        base = record.get("bn", base)
        out.append((base + record.get("n", ""), record.get("v", record.get("vs"))))
    return out


def test_read_composite_asks_for_all_paths_at_once(daemon, registered):
    d = registered
    read = daemon.start_http("GET", f"/api/clients/{d.endpoint}/composite?paths=/3/0/0,/1/0/1,/3/0/99"
                                    "&pathformat=SENML_JSON&nodeformat=SENML_CBOR")
    request = d.next_request()
    assert (request.code, request.path) == (FETCH, "/")
    assert (request.number(CONTENT_FORMAT), request.number(ACCEPT)) == (SENML_JSON, SENML_CBOR)
    assert [name for name, _ in senml(request.payload)] == ["/3/0/0", "/1/0/1", "/3/0/99"]
    d.answer(request, "2.05", cbor2.dumps([{0: "/3/0/0", 3: "acme"}, {0: "/1/0/1", 2: 60}]), format=SENML_CBOR)
    assert read.result().json["content"] == {
        "/3/0/0": {"kind": "singleResource", "id": 0, "type": "STRING", "value": "acme"},
        "/1/0/1": {"kind": "singleResource", "id": 1, "type": "INTEGER", "value": "60"}}


def test_write_composite_is_one_request(daemon, registered):
    d = registered
    write = daemon.start_http("PUT", f"/api/clients/{d.endpoint}/composite?nodeformat=SENML_JSON",
                              {"/3/0/14": {"id": 14, "kind": "singleResource", "type": "STRING", "value": "+01:00"},
                               "/1/0/1": {"id": 1, "kind": "singleResource", "type": "INTEGER", "value": "60"}})
    request = d.serve_one("2.04")
    assert (request.code, request.path, request.number(CONTENT_FORMAT)) == (IPATCH, "/", SENML_JSON)
    assert dict(senml(request.payload)) == {"/3/0/14": "+01:00", "/1/0/1": 60}
    assert write.result().json["status"] == "CHANGED(204)"


def test_a_composite_observation_survives_a_crash(start):
    daemon = start("--coap-ack-timeout", "500ms")
    with Device(daemon.coap_port) as d:
        d.register()
        call = daemon.start_http("POST", f"/api/clients/{d.endpoint}/composite/observe?paths=/3303/0/5700,/3/0/9")
        request = d.next_request()
        assert (request.code, request.number(OBSERVE)) == (FETCH, 0)
        first = cbor2.dumps([{0: "/3303/0/5700", 2: 1.5}, {0: "/3/0/9", 2: 90}])
        d.answer(request, "2.05", first, [(OBSERVE, b"\x01")], SENML_CBOR)
        assert set(call.result().json["content"]) == {"/3303/0/5700", "/3/0/9"}
        daemon.kill()
        daemon.start()
        with daemon.events() as events:
            d.notify(request, 2, cbor2.dumps([{0: "/3303/0/5700", 2: 2.5}, {0: "/3/0/9", 2: 89}]), SENML_CBOR)
            data = events.wait("NOTIFICATION").data
            assert (data["ep"], data["kind"]) == (d.endpoint, "composite")
            assert data["val"]["/3303/0/5700"]["value"] == "2.5" and data["val"]["/3/0/9"]["value"] == "89"
            assert sorted(data["paths"]) == ["/3/0/9", "/3303/0/5700"]


def send_message(device, payload, format=SENML_JSON, **more):
    return device.request(POST, "/dp", [], payload, options=[(CONTENT_FORMAT, uint(format))], **more)


def test_what_a_device_sends_is_an_event_once(daemon, registered):
    d = registered
    with daemon.events(f"?ep={d.endpoint}") as events:
        m = send_message(d, b'[{"n":"/3303/0/5700","v":21.5},{"n":"/3/0/9","v":88}]')
        assert [d.exchange(m).text for _ in range(3)] == ["2.04"] * 3
        data = events.wait("SEND").data
        assert data["ep"] == d.endpoint
        assert data["val"]["/3303/0/5700"]["value"] == "21.5" and data["val"]["/3/0/9"]["value"] == "88"
        d.update()
        events.wait("UPDATED")
        assert [e.name for e in events.seen] == ["SEND", "UPDATED"]


@pytest.mark.parametrize("payload, format, text", [
    (b"[", SENML_JSON, "4.00"), (b"21.5", TEXT, "4.00"), (b'[{"n":"/3303/9/5700","v":1}]', SENML_JSON, "4.04"),
    (b'[{"n":"/6/0/0","v":1}]', SENML_JSON, "4.04")])
def test_a_send_that_cannot_be_taken_is_refused(registered, payload, format, text):
    assert registered.exchange(send_message(registered, payload, format)).text == text


def test_a_send_of_a_stranger_is_refused(device):
    answer = device.exchange(send_message(device, b'[{"n":"/3303/0/5700","v":21.5}]'))
    assert answer.text in ("4.00", "4.04")


def test_wrong_methods_on_dp_are_4_05(registered):
    assert registered.exchange(registered.request(coap_peer.GET, "/dp")).text == "4.05"


def test_blocks_that_never_end_cost_bounded_memory(daemon, device):
    before = daemon.rss()
    for sender in range(60):
        with Device(daemon.coap_port) as stranger:
            for i in range(50):
                m = stranger.register_message(query=[f"x={i}"])
                m.options.append((BLOCK1, block(0, True, 6)))
                m.payload = b"x" * 1024
                stranger.send(m)
        assert device.exchange(Message(CON, 0)).type == RST
    assert daemon.rss() - before < 20 << 20
    assert send_blocks(device, device.register_message(), LONG_LINKS)[-1].text == "2.01"
