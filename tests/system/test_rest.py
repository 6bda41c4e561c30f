# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The routes of rest.md, part A, against a device whose every answer the test chooses."""

import json
import socket
import time

import cbor2
import pytest

import coap_peer
import shoal
from coap_peer import (ACCEPT, ACK, CON, CONTENT_FORMAT, DELETE, GET, LINK, LOCATION_PATH, NON, OBSERVE, OPAQUE, POST, PUT,
                       RST, SENML_CBOR, SENML_JSON, TEXT, TLV, Device, Message, response, uint)


@pytest.fixture(scope="module")
def daemon():
    """Impatient, so that a silent device is given up within a test."""
    with shoal.temp_dir() as path, shoal.Daemon(path, "--coap-ack-timeout", "300ms", "--coap-max-retransmit", "2") as running:
        yield running
        assert running.alive, running.log[-4000:]
        assert running.stop() == 0, running.log[-4000:]


@pytest.fixture
def device(daemon):
    with Device(daemon.coap_port) as d:
        d.register()
        yield d


class Api:
    """REST requests about one device."""

    def __init__(self, daemon, endpoint):
        self.daemon, self.base = daemon, f"/api/clients/{endpoint}"

    def start(self, method, path, *more, **named):
        return self.daemon.start_http(method, self.base + path, *more, **named)

    def call(self, method, path, *more, **named):
        return self.daemon.http(method, self.base + path, *more, **named)


@pytest.fixture
def api(daemon, device):
    return Api(daemon, device.endpoint)


def check_response(answer, status):
    """A JSON answer with this CoAP status; returns it."""
    assert answer.status == 200, answer
    body = answer.json
    good = status.rpartition("(")[2].startswith("2")
    assert (body["status"], body["valid"], body["success"], body["failure"]) == (status, True, good, not good), body
    return body


def check_error(answer, status, text):
    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["Content-Type"].lower().replace(" ", "") == "text/plain;charset=utf-8"


# ---- clients ----

def test_clients_is_an_array_of_all_registrations(daemon, device):
    body = daemon.get("/api/clients").json
    assert device.endpoint in [r["endpoint"] for r in body]
    with Device(daemon.coap_port) as other:
        other.register()
        names = [r["endpoint"] for r in daemon.get("/api/clients").json]
        assert device.endpoint in names and other.endpoint in names and len(names) == len(set(names))


def test_a_fleet_comes_as_one_array(start):
    daemon = start()
    names = set()
    with Device(daemon.coap_port) as d:
        for i in range(1500):
            d.endpoint = f"fleet-{i:04}"
            names.add(d.endpoint)
            d.send(d.register_message())
            if i % 50 == 49:
                for _ in range(50):
                    assert d.receive().text == "2.01"
        body = daemon.get("/api/clients").json
    assert len(body) == 1500 and {r["endpoint"] for r in body} == names


def test_clients_with_a_slash_behind_is_an_invalid_path(daemon):
    check_error(daemon.get("/api/clients/"), 400, "Invalid path")


def test_a_client_has_the_members_of_the_compatible_interface_in_their_order(daemon):
    with Device(daemon.coap_port) as d:
        d.register(query=["b=U", "Q", "sms=123", "x=y"])
        body = daemon.get(f"/api/clients/{d.endpoint}").json
        assert list(body) == ["endpoint", "registrationId", "registrationDate", "lastUpdate", "address", "smsNumber",
                              "lwM2mVersion", "lifetime", "bindingMode", "rootPath", "objectLinks", "secure",
                              "additionalRegistrationAttributes", "queuemode", "availableInstances", "sleeping"]


@pytest.mark.parametrize("method, path, body", [
    ("GET", "", None), ("GET", "/3/0/0", None), ("GET", "/3/0/discover", None), ("POST", "/3/0/0/observe", None),
    ("DELETE", "/3/0/0/observe", None), ("DELETE", "/3/0/0/observe?active", None), ("DELETE", "/3303/0", None),
    ("POST", "/3/0/4", None), ("PUT", "/3/0/attributes?pmin=1", None), ("DELETE", "", None),
    ("PUT", "/3/0/14", {"id": 14, "kind": "singleResource", "type": "STRING", "value": "x"}),
    ("POST", "/3303", {"id": 0, "resources": []})])
def test_every_route_of_an_unknown_client_says_so(daemon, method, path, body):
    answer = daemon.http(method, f"/api/clients/no%20body{path}", body)
    check_error(answer, 400, "No registered client with id 'no body'")


def test_an_endpoint_name_is_percent_decoded(daemon):
    name = 'a b%"<>ü' + coap_peer.unique()
    with Device(daemon.coap_port, endpoint=name) as d:
        d.register()
        assert daemon.client(name)["endpoint"] == name


def test_delete_of_a_client_removes_it_and_its_update_is_4_04(daemon, device, api):
    with daemon.events(f"?ep={device.endpoint}") as events:
        answer = api.call("DELETE", "")
        assert answer.status in (200, 204)
        assert daemon.client(device.endpoint) is None
        assert events.wait("DEREGISTRATION").data["endpoint"] == device.endpoint
    assert device.update().text == "4.04"
    device.register()


# ---- Read: what the device may do ----

def test_a_piggybacked_answer_is_taken(device, api):
    read = api.start("GET", "/3/0/0?format=TEXT")
    request = device.next_request()
    assert (request.type, request.code, request.path) == (CON, GET, "/3/0/0")
    assert request.number(ACCEPT) == TEXT and request.payload == b"" and request.query == []
    assert 1 <= len(request.token) <= 8
    device.answer(request, "2.05", b"acme", format=TEXT)
    body = check_response(read.result(), "CONTENT(205)")
    assert body["content"] == {"kind": "singleResource", "id": 0, "type": "STRING", "value": "acme"}


def test_a_separate_confirmable_answer_is_taken_and_acknowledged(device, api):
    read = api.start("GET", "/3/0/0")
    request = device.next_request()
    device.acknowledge(request)
    time.sleep(0.1)
    answer = device.send(response(request, "2.05", b"acme", format=TEXT, type=CON))
    ack = device.expect(lambda m: m.mid == answer.mid)
    assert (ack.type, ack.code) == (ACK, 0)
    check_response(read.result(), "CONTENT(205)")
    # Its retransmission, because our ACK was lost, gets the same ACK and not a reset.
    device.send(answer)
    assert device.expect(lambda m: m.mid == answer.mid).type == ACK


def test_a_separate_non_confirmable_answer_is_taken(device, api):
    read = api.start("GET", "/3/0/0")
    request = device.next_request()
    device.acknowledge(request)
    device.send(response(request, "2.05", b"acme", format=TEXT, type=NON))
    check_response(read.result(), "CONTENT(205)")
    device.silence(0.1)


def test_an_answer_that_overtakes_its_acknowledgement_is_taken(device, api):
    read = api.start("GET", "/3/0/0")
    request = device.next_request()
    answer = device.send(response(request, "2.05", b"acme", format=TEXT, type=CON))
    assert device.expect(lambda m: m.mid == answer.mid).type == ACK
    device.acknowledge(request)
    check_response(read.result(), "CONTENT(205)")
    # No retransmission of the request: it was answered.
    device.silence(0.8)


def test_a_reset_is_told_as_rejected(device, api):
    read = api.start("GET", "/3/0/0")
    device.reset(device.next_request())
    answer = read.result()
    assert answer.status == 500 and answer.text.startswith("Request rejected: "), answer


def test_a_silent_device_is_asked_again_with_the_same_message_and_then_given_up(device, api):
    begin = time.monotonic()
    read = api.start("GET", "/3/0/0?timeout=10")
    requests = []
    while request := device.receive(2.5):
        requests.append((time.monotonic() - begin, request))
    # max_retransmit 2, for one request; a device asked for a format it never used gets another without Accept.
    first = [r for _, r in requests if r.mid == requests[0][1].mid]
    assert len(first) == 3 and len({r.encode() for r in first}) == 1
    times = [t for t, r in requests if r.mid == requests[0][1].mid]
    assert 0.28 < times[1] - times[0] < 0.6
    assert 0.56 < times[2] - times[1] < 1.1
    others = [r for _, r in requests if r.mid != requests[0][1].mid]
    assert all(r.one(ACCEPT) is None for r in others)
    check_error(read.result(), 504, "Request timeout")


def test_no_answer_within_timeout_is_504(device, api):
    begin = time.monotonic()
    read = api.start("GET", "/3/0/0?timeout=1")
    device.acknowledge(device.next_request())
    check_error(read.result(), 504, "Request timeout")
    assert 0.9 < time.monotonic() - begin < 2.5


def test_the_default_timeout_is_five_seconds_also_for_nonsense(device, api):
    begin = time.monotonic()
    read = api.start("GET", "/3/0/0?timeout=abc")
    device.acknowledge(device.next_request())
    check_error(read.result(), 504, "Request timeout")
    assert 4.5 < time.monotonic() - begin < 6.5


def test_a_late_answer_is_not_taken_for_the_next_one(device, api):
    read = api.start("GET", "/3/0/0?timeout=1&format=TEXT")
    late = device.next_request()
    device.acknowledge(late)
    assert read.result().status == 504
    again = api.start("GET", "/3/0/1?format=TEXT")
    request = device.next_request()
    assert request.token != late.token
    device.send(response(late, "2.05", b"late", format=TEXT, type=NON))
    device.answer(request, "2.05", b"right", format=TEXT)
    assert check_response(again.result(), "CONTENT(205)")["content"]["value"] == "right"


def test_an_answer_with_another_token_is_not_taken(device, api):
    read = api.start("GET", "/3/0/0?timeout=2")
    request = device.next_request()
    device.acknowledge(request)
    stranger = device.send(Message(CON, coap_peer.code("2.05"), token=b"stranger", payload=b"x"))
    assert device.expect(lambda m: m.mid == stranger.mid).type == RST
    device.send(response(request, "2.05", b"acme", format=TEXT, type=NON))
    check_response(read.result(), "CONTENT(205)")


def test_another_peer_cannot_answer_for_the_device(daemon, device, api):
    read = api.start("GET", "/3/0/0")
    request = device.next_request()
    with coap_peer.Peer(daemon.coap_port) as other:
        other.answer(request, "2.05", b"forged", format=TEXT)
    time.sleep(0.05)
    device.answer(request, "2.05", b"acme", format=TEXT)
    assert check_response(read.result(), "CONTENT(205)")["content"]["value"] == "acme"


def test_a_registration_anew_cancels_what_runs(device, api):
    read = api.start("GET", "/3/0/0")
    device.acknowledge(device.next_request())
    device.register()
    answer = read.result()
    assert answer.status == 500 and answer.text.startswith("Request cancelled: "), answer


def test_one_device_is_asked_one_thing_at_a_time(device, api):
    reads = [api.start("GET", f"/3/0/{i}?format=TEXT") for i in range(4)]
    for _ in range(4):
        request = device.next_request()
        device.silence(0.1)
        device.answer(request, "2.05", request.path.encode(), format=TEXT)
    for i, read in enumerate(reads):
        assert check_response(read.result(), "CONTENT(205)")["content"]["value"] == f"/3/0/{i}"


def test_a_slow_device_holds_nobody_else_up(daemon, device, api):
    reads = [api.start("GET", "/3/0/0?timeout=3") for _ in range(10)]
    device.next_request()
    begin = time.monotonic()
    with Device(daemon.coap_port) as other:
        other.register()
        read = daemon.start_http("GET", f"/api/clients/{other.endpoint}/3/0/0")
        other.serve_one("2.05", b"acme", TEXT)
        check_response(read.result(), "CONTENT(205)")
        assert daemon.get("/api/clients").status == 200
    assert time.monotonic() - begin < 1
    assert [r.result().status for r in reads] == [504] * 10


@pytest.mark.parametrize("code, status", [
    ("4.00", "BAD_REQUEST(400)"), ("4.01", "UNAUTHORIZED(401)"), ("4.03", "FORBIDDEN(403)"), ("4.04", "NOT_FOUND(404)"),
    ("4.05", "METHOD_NOT_ALLOWED(405)"), ("5.00", "INTERNAL_SERVER_ERROR(500)")])
def test_an_error_of_the_device_is_a_failure_in_a_200(device, api, code, status):
    read = api.start("GET", "/3/0/0?format=TEXT")
    device.serve_one(code, b"because")
    assert check_response(read.result(), status)["errormessage"] == "because"


def test_a_device_that_cannot_the_format_is_asked_again_without_accept(device, api):
    read = api.start("GET", "/3/0")
    first = device.next_request()
    assert first.one(ACCEPT) is not None
    device.answer(first, "4.06")
    second = device.next_request()
    assert second.one(ACCEPT) is None and second.path == "/3/0"
    device.answer(second, "2.05", b"\xc8\x00\x04acme", format=TLV)
    content = check_response(read.result(), "CONTENT(205)")["content"]
    assert content["resources"] == [{"kind": "singleResource", "id": 0, "type": "STRING", "value": "acme"}]


def test_an_undecodable_answer_is_told(device, api):
    read = api.start("GET", "/3/0?format=TLV")
    device.serve_one("2.05", b"\xc8\x00\xffshort", TLV)
    answer = read.result()
    assert answer.status == 500 and answer.text.startswith("Invalid Response: "), answer


def test_an_answer_in_an_unknown_format_is_told(device, api):
    read = api.start("GET", "/3/0/0?format=TEXT")
    device.serve_one("2.05", b"x", 666)
    answer = read.result()
    assert answer.status == 500 and answer.text.startswith("Invalid Response: "), answer


@pytest.mark.parametrize("path", ["/x", "/3/x", "/3/0/0/0/0", "/70000", "/3//0", "/-1"])
def test_a_bad_path_is_an_invalid_request(api, path):
    answer = api.call("GET", path)
    assert answer.status == 400 and answer.text.startswith("Invalid "), answer


# ---- Read: formats and nodes ----

@pytest.mark.parametrize("name, number, payload", [
    ("TLV", TLV, bytes.fromhex("c80014") + b"Open Mobile Alliance" + bytes.fromhex("c10964 8606 410001 410105".replace(" ", ""))),
    ("SENML_JSON", SENML_JSON, json.dumps([
        {"bn": "/3/0/", "n": "0", "vs": "Open Mobile Alliance"}, {"n": "6/0", "v": 1}, {"n": "6/1", "v": 5},
        {"n": "9", "v": 100}]).encode()),
    ("SENML_CBOR", SENML_CBOR, cbor2.dumps([
        {-2: "/3/0/", 0: "0", 3: "Open Mobile Alliance"}, {0: "6/0", 2: 1}, {0: "6/1", 2: 5}, {0: "9", 2: 100}]))])
def test_an_instance_in_every_format(device, api, name, number, payload):
    read = api.start("GET", f"/3/0?format={name}")
    request = device.serve_one("2.05", payload, number)
    assert request.number(ACCEPT) == number
    content = check_response(read.result(), "CONTENT(205)")["content"]
    assert content["kind"] == "instance" and content["id"] == 0
    assert sorted(content["resources"], key=lambda r: r["id"]) == [
        {"kind": "singleResource", "id": 0, "type": "STRING", "value": "Open Mobile Alliance"},
        {"kind": "multiResource", "values": {"0": "1", "1": "5"}, "id": 6, "type": "INTEGER"},
        {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "100"}]


def test_an_object_is_a_node_of_instances(device, api):
    read = api.start("GET", "/3303?format=SENML_CBOR")
    device.serve_one("2.05", cbor2.dumps([{-2: "/3303/", 0: "0/5700", 2: 21.5}, {0: "1/5700", 2: -3.0}]), SENML_CBOR)
    assert check_response(read.result(), "CONTENT(205)")["content"] == {
        "instances": [
            {"kind": "instance", "resources": [{"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.5"}], "id": 0},
            {"kind": "instance", "resources": [{"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "-3.0"}], "id": 1}],
        "kind": "obj", "id": 3303}


@pytest.mark.parametrize("path, format, number, payload, node", [
    ("/3/0/9", "TEXT", TEXT, b"42", {"type": "INTEGER", "value": "42"}),
    ("/3303/0/5700", "TEXT", TEXT, b"42", {"type": "FLOAT", "value": "42.0"}),
    ("/3303/0/5700", "TLV", TLV, bytes.fromhex("e4164441ac0000"), {"type": "FLOAT", "value": "21.5"}),
    ("/3/0/13", "TEXT", TEXT, b"1700000000", {"type": "TIME", "value": 1700000000000}),
    ("/1/0/6", "TEXT", TEXT, b"1", {"type": "BOOLEAN", "value": True}),
    ("/3/0/14", "TEXT", TEXT, "grün".encode(), {"type": "STRING", "value": "grün"}),
    ("/3/0/14", "TEXT", TEXT, b"", {"type": "STRING", "value": ""})])
def test_a_resource_has_the_type_of_its_definition(device, api, path, format, number, payload, node):
    read = api.start("GET", f"{path}?format={format}")
    device.serve_one("2.05", payload, number)
    content = check_response(read.result(), "CONTENT(205)")["content"]
    assert content == {"kind": "singleResource", "id": int(path.rpartition("/")[2]), **node}


def test_an_unknown_object_is_read_as_well(device, api):
    read = api.start("GET", "/12345/0/1?format=OPAQUE")
    device.serve_one("2.05", b"\x01\xfe", OPAQUE)
    content = check_response(read.result(), "CONTENT(205)")["content"]
    assert content == {"kind": "singleResource", "id": 1, "type": "OPAQUE", "value": "01fe"}


def test_a_resource_instance_is_read(device, api):
    read = api.start("GET", "/3/0/6/1?format=TEXT")
    assert device.serve_one("2.05", b"5", TEXT).path == "/3/0/6/1"
    content = check_response(read.result(), "CONTENT(205)")["content"]
    assert content == {"kind": "resourceInstance", "id": 1, "type": "INTEGER", "value": "5"}


def test_an_unknown_format_name_counts_as_none(device, api):
    read = api.start("GET", "/3/0/0?format=nonsense")
    device.serve_one("2.05", b"acme", TEXT)
    check_response(read.result(), "CONTENT(205)")


def test_names_of_formats_are_case_insensitive(device, api):
    read = api.start("GET", "/3/0/0?format=tlv")
    assert device.serve_one("2.05", b"\xc4\x00acme", TLV).number(ACCEPT) == TLV
    check_response(read.result(), "CONTENT(205)")


def test_an_old_device_that_announces_no_formats_gets_no_accept(daemon):
    with Device(daemon.coap_port) as d:
        d.register(version="1.0")
        read = daemon.start_http("GET", f"/api/clients/{d.endpoint}/3/0/0")
        assert d.serve_one("2.05", b"acme").one(ACCEPT) is None
        # Nor did it name the format of its answer.
        assert check_response(read.result(), "CONTENT(205)")["content"]["value"] == "acme"


def test_an_announced_format_is_preferred(daemon):
    with Device(daemon.coap_port) as d:
        d.register(version="1.0", links=b'</>;rt="oma.lwm2m";ct=11542,</3/0>')
        read = daemon.start_http("GET", f"/api/clients/{d.endpoint}/3/0")
        assert d.serve_one("2.05", b"\xc4\x00acme", TLV).number(ACCEPT) == TLV
        check_response(read.result(), "CONTENT(205)")


# ---- Discover ----

def test_discover_shows_links_with_attributes(device, api):
    discover = api.start("GET", "/3/discover")
    request = device.serve_one("2.05", b'</3>;ver=1.1;pmin=10,</3/0>,</3/0/0>,</3/0/6>;dim=2;gt=3.5', LINK)
    assert (request.code, request.path, request.number(ACCEPT)) == (GET, "/3", LINK)
    assert check_response(discover.result(), "CONTENT(205)")["objectLinks"] == [
        {"url": "/3", "attributes": {"ver": "1.1", "pmin": "10"}}, {"url": "/3/0", "attributes": {}},
        {"url": "/3/0/0", "attributes": {}}, {"url": "/3/0/6", "attributes": {"dim": "2", "gt": "3.5"}}]


def test_discover_of_what_is_not_there(device, api):
    discover = api.start("GET", "/3303/9/discover")
    device.serve_one("4.04")
    check_response(discover.result(), "NOT_FOUND(404)")


# ---- Write ----

STRING = {"id": 14, "kind": "singleResource", "type": "STRING", "value": "UTC+2"}


def test_write_of_a_resource_is_a_put_of_text(device, api):
    write = api.start("PUT", "/3/0/14", STRING)
    request = device.serve_one("2.04")
    assert (request.type, request.code, request.path, request.payload) == (CON, PUT, "/3/0/14", b"UTC+2")
    assert request.number(CONTENT_FORMAT) == TEXT
    assert check_response(write.result(), "CHANGED(204)").keys() == {"status", "valid", "success", "failure"}


def test_write_of_a_plain_text_body(device, api):
    write = api.start("PUT", "/3/0/14", "UTC+3", "text/plain")
    assert device.serve_one("2.04").payload == b"UTC+3"
    check_response(write.result(), "CHANGED(204)")


@pytest.mark.parametrize("format, number, payload", [
    ("TLV", TLV, b"\xc5\x0eUTC+2"), ("SENML_JSON", SENML_JSON, None), ("SENML_CBOR", SENML_CBOR, None)])
def test_write_in_a_chosen_format(device, api, format, number, payload):
    write = api.start("PUT", f"/3/0/14?format={format}", STRING)
    request = device.serve_one("2.04")
    assert request.number(CONTENT_FORMAT) == number
    if payload:
        assert request.payload == payload
    elif format == "SENML_JSON":
        (record,) = json.loads(request.payload)
        assert record.get("bn", "") + record.get("n", "") == "/3/0/14" and record["vs"] == "UTC+2"
    else:
        (record,) = cbor2.loads(request.payload)
        assert record.get(-2, "") + record.get(0, "") == "/3/0/14" and record[3] == "UTC+2"
    check_response(write.result(), "CHANGED(204)")


@pytest.mark.parametrize("replace, method", [("", PUT), ("&replace=true", PUT), ("&replace=false", POST)])
def test_write_of_an_instance_replaces_or_adds(device, api, replace, method):
    body = {"id": 0, "kind": "instance", "resources": [
        {"id": 1, "kind": "singleResource", "type": "INTEGER", "value": "60"},
        {"id": 6, "kind": "singleResource", "type": "BOOLEAN", "value": True}]}
    write = api.start("PUT", f"/1/0?format=TLV{replace}", body)
    request = device.serve_one("2.04")
    assert (request.code, request.path, request.payload) == (method, "/1/0", bytes.fromhex("c1013cc10601"))
    check_response(write.result(), "CHANGED(204)")


@pytest.mark.parametrize("path, node, payload", [
    ("/1/0/1", {"id": 1, "type": "INTEGER", "value": "86400"}, b"86400"),
    ("/1/0/1", {"id": "1", "type": "integer", "value": 86400}, b"86400"),
    ("/1/0/6", {"id": 6, "type": "BOOLEAN", "value": False}, b"0"),
    ("/3/0/13", {"id": 13, "type": "TIME", "value": 1700000000000}, b"1700000000"),
    ("/3303/0/5603", {"id": 5603, "type": "FLOAT", "value": "1.5"}, b"1.5"),
    ("/3303/0/5603", {"id": 5603, "type": "FLOAT", "value": 2}, None)])
def test_values_are_written_by_type(device, api, path, node, payload):
    write = api.start("PUT", f"{path}?format=TEXT", node)
    request = device.serve_one("2.04")
    if payload is not None:
        assert request.payload == payload
    else:
        assert float(request.payload) == 2.0
    check_response(write.result(), "CHANGED(204)")


def test_an_opaque_resource_is_written_as_it_is(device, api):
    write = api.start("PUT", "/5/0/0", {"id": 0, "kind": "singleResource", "type": "OPAQUE", "value": "00ff10"})
    request = device.serve_one("2.04")
    assert (request.number(CONTENT_FORMAT), request.payload) == (OPAQUE, b"\x00\xff\x10")
    check_response(write.result(), "CHANGED(204)")


def test_a_multi_resource_and_a_resource_instance_are_written(device, api):
    write = api.start("PUT", "/2/0/2?format=TLV", {"id": 2, "kind": "multiResource", "type": "INTEGER",
                                                 "values": {"0": "1", "1": "5"}})
    assert device.serve_one("2.04").payload == bytes.fromhex("8602410001410105")
    check_response(write.result(), "CHANGED(204)")
    write = api.start("PUT", "/2/0/2/1?format=TEXT", {"id": 1, "kind": "resourceInstance", "type": "INTEGER", "value": "7"})
    request = device.serve_one("2.04")
    assert (request.path, request.payload) == ("/2/0/2/1", b"7")
    check_response(write.result(), "CHANGED(204)")


@pytest.mark.parametrize("body, content_type", [
    ("{", "application/json"), ("[]", "application/json"), ("null", "application/json"), ("", "application/json"),
    ('{"id":14}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"STRING","value":5}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"NOPE","value":"5"}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"INTEGER","value":"five"}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"FLOAT","value":"NaN"}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"BOOLEAN","value":"true"}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"OPAQUE","value":"0g"}', "application/json"),
    ('{"id":14,"kind":"singleResource","type":"OPAQUE","value":"000"}', "application/json"),
    ('{"id":70000,"kind":"singleResource","type":"STRING","value":"x"}', "application/json"),
    ("[" * 10000, "application/json")])
def test_a_body_that_cannot_be_written_is_an_invalid_request(device, api, body, content_type):
    answer = api.call("PUT", "/3/0/14", body, content_type)
    assert answer.status == 400 and answer.text.startswith("Invalid request: "), answer
    device.silence(0.02)


def test_another_content_type_is_not_supported(api):
    answer = api.call("PUT", "/3/0/14", "<x/>", "application/xml")
    assert answer.status == 400
    assert answer.text.startswith("Invalid request: content type") and answer.text.endswith("not supported"), answer


@pytest.mark.parametrize("path", ["/3"])
def test_write_of_less_than_an_instance_is_an_invalid_path(api, path):
    answer = api.call("PUT", path, STRING)
    assert answer.status == 400 and "Invalid path" in answer.text, answer


# ---- Write-Attributes ----

def test_attributes_go_as_query_without_payload(device, api):
    write = api.start("PUT", "/3303/0/5700/attributes?pmin=10&pmax=60&gt=30.5&lt=-5&st=1")
    request = device.serve_one("2.04")
    assert (request.code, request.path, request.payload) == (PUT, "/3303/0/5700", b"")
    assert request.query == ["pmin=10", "pmax=60", "gt=30.5", "lt=-5", "st=1"]
    assert request.one(CONTENT_FORMAT) is None
    check_response(write.result(), "CHANGED(204)")


def test_a_bare_attribute_unsets_it(device, api):
    write = api.start("PUT", "/3303/0/5700/attributes?gt&pmin=1")
    assert device.serve_one("2.04").query == ["gt", "pmin=1"]
    check_response(write.result(), "CHANGED(204)")


def test_no_attributes_are_an_empty_write_attributes(device, api):
    write = api.start("PUT", "/3303/0/attributes")
    request = device.serve_one("2.04")
    assert (request.code, request.path, request.query, request.payload) == (PUT, "/3303/0", [], b"")
    check_response(write.result(), "CHANGED(204)")


@pytest.mark.parametrize("query", ["pmin=x", "gt=", "foo=1", "dim=2", "ver=1.0", "timeout=3", "pmin=-1", "pmin=1&pmin=2"])
def test_wrong_attributes_are_refused_before_the_device_is_asked(device, api, query):
    answer = api.call("PUT", f"/3303/0/5700/attributes?{query}")
    assert answer.status == 400 and answer.text.startswith("Invalid attributes: "), answer
    device.silence(0.02)


# ---- Execute, Create, Delete ----

@pytest.mark.parametrize("body", [None, "0='a',1", "5"])
def test_execute_carries_its_arguments(device, api, body):
    execute = api.start("POST", "/3/0/4", body)
    request = device.serve_one("2.04")
    assert (request.code, request.path, request.payload) == (POST, "/3/0/4", (body or "").encode())
    assert request.number(CONTENT_FORMAT) in ((None, TEXT) if body else (None,))
    check_response(execute.result(), "CHANGED(204)")


def test_execute_refused_by_the_device(device, api):
    execute = api.start("POST", "/3/0/0")
    device.serve_one("4.05")
    check_response(execute.result(), "METHOD_NOT_ALLOWED(405)")


@pytest.mark.parametrize("body", ["x", "0=a", "0='a", "1,1='b',", "0='a\\b'"])
def test_execute_arguments_that_no_device_could_read_are_refused(device, api, body):
    answer = api.call("POST", "/3/0/4", body)
    assert answer.status == 400 and answer.text.startswith("Invalid request: "), answer
    device.silence(0.02)


def test_create_with_an_id(device, api):
    create = api.start("POST", "/3303?format=TLV", {"id": 4, "resources": [
        {"id": 5701, "kind": "singleResource", "type": "STRING", "value": "K"}]})
    request = device.next_request()
    assert (request.code, request.path, request.number(CONTENT_FORMAT)) == (POST, "/3303", TLV)
    assert request.payload == bytes.fromhex("0404e116454b")
    device.answer(request, "2.01")
    assert "location" not in check_response(create.result(), "CREATED(201)")


def test_create_where_the_device_chooses_the_id(device, api):
    create = api.start("POST", "/3303?format=TLV", {"resources": [
        {"id": 5701, "kind": "singleResource", "type": "STRING", "value": "K"}]})
    request = device.next_request()
    assert request.payload == bytes.fromhex("e116454b")
    device.answer(request, "2.01", options=[(LOCATION_PATH, b"3303"), (LOCATION_PATH, b"7")])
    assert check_response(create.result(), "CREATED(201)")["location"] == "3303/7"


def test_create_of_something_else_than_an_instance(device, api):
    answer = api.call("POST", "/3303", {"id": 1, "kind": "singleResource", "type": "STRING", "value": "x"})
    check_error(answer, 500, "Unexpected exception: payload must contain an object instance")
    device.silence(0.02)


def test_create_below_an_instance_is_refused(device, api):
    answer = api.call("POST", "/3303/1", {"id": 1, "resources": []})
    assert answer.status == 400 and answer.text.startswith("Invalid "), answer
    device.silence(0.02)


def test_delete_of_an_instance(device, api):
    delete = api.start("DELETE", "/3303/1")
    request = device.serve_one("2.02")
    assert (request.code, request.path) == (DELETE, "/3303/1")
    check_response(delete.result(), "DELETED(202)")


@pytest.mark.parametrize("path", ["/3303", "/3303/0/5700", "/3303/0/5700/0"])
def test_delete_of_anything_else_is_an_invalid_path(device, api, path):
    answer = api.call("DELETE", path)
    assert answer.status == 400 and answer.text.startswith("Invalid request: Invalid path"), answer
    device.silence(0.02)


# ---- Observe ----

def observe(device, api, path="/3303/0/5700", value=b"21.5", **more):
    """Starts an observation; returns the device's side of it."""
    started = api.start("POST", f"{path}/observe?format=TEXT")
    request = device.serve_one("2.05", value, TEXT, [(OBSERVE, b"\x01")])
    answer = started.result()
    check_response(answer, "CONTENT(205)")
    return request


def test_observe_answers_with_the_first_value(device, api):
    started = api.start("POST", "/3303/0/5700/observe?format=TEXT")
    request = device.next_request()
    assert (request.code, request.path, request.number(OBSERVE), request.number(ACCEPT)) == (GET, "/3303/0/5700", 0, TEXT)
    device.answer(request, "2.05", b"21.5", [(OBSERVE, b"\x01")], TEXT)
    body = check_response(started.result(), "CONTENT(205)")
    assert body["content"] == {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.5"}


@pytest.mark.parametrize("kind", [CON, NON])
def test_a_notification_becomes_an_event(daemon, device, api, kind):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        sent = device.notify(request, 2, b"22.5", type=kind)
        if kind == CON:
            ack = device.expect(lambda m: m.mid == sent.mid)
            assert (ack.type, ack.code, ack.token) == (ACK, 0, b"")
        data = events.wait("NOTIFICATION").data
        assert data["ep"] == device.endpoint and data["kind"] == "single" and data["res"] == "/3303/0/5700"
        assert data["val"] == {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "22.5"}


def test_a_retransmitted_notification_is_acknowledged_again_and_told_once(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        sent = device.notify(request, 2, b"22.5")
        for _ in range(3):
            assert device.expect(lambda m: m.mid == sent.mid).type == ACK
            device.send(sent)
        assert device.expect(lambda m: m.mid == sent.mid).type == ACK
        device.notify(request, 3, b"23.5")
        events.wait(lambda e: e.name == "NOTIFICATION" and e.data["val"]["value"] == "23.5")
        assert [e.data["val"]["value"] for e in events.seen] == ["22.5", "23.5"]


def test_a_notification_that_was_overtaken_is_not_told_after_the_newer_one(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        device.notify(request, 5, b"25.0")
        late = device.notify(request, 4, b"24.0")
        assert device.expect(lambda m: m.mid == late.mid).type == ACK
        device.notify(request, 6, b"26.0")
        events.wait(lambda e: e.name == "NOTIFICATION" and e.data["val"]["value"] == "26.0")
        assert [e.data["val"]["value"] for e in events.seen] == ["25.0", "26.0"]


def test_observe_sequence_numbers_wrap_around(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        for number, value in ((0x800000, b"1.0"), (0xFFFFFF, b"2.0"), (0, b"3.0"), (1, b"4.0")):
            sent = device.notify(request, number, value)
            assert device.expect(lambda m: m.mid == sent.mid).type == ACK
        seen = events.wait_count(4)
        assert [e.data["val"]["value"] for e in seen] == ["1.0", "2.0", "3.0", "4.0"]


def test_a_notification_may_change_its_format(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        device.notify(request, 2, bytes.fromhex("e4164441b40000"), TLV)
        assert events.wait("NOTIFICATION").data["val"]["value"] == "22.5"


def test_a_notification_in_an_unknown_format_is_acknowledged_and_harms_nothing(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events:
        sent = device.notify(request, 2, b"\xff\xff", 666)
        assert device.expect(lambda m: m.mid == sent.mid).type == ACK
        device.notify(request, 3, b"23.5")
        assert events.wait(lambda e: e.name == "NOTIFICATION" and e.data.get("val")).data["val"]["value"] == "23.5"


def test_an_unknown_token_is_reset(device, api):
    observe(device, api)
    sent = device.send(Message(CON, coap_peer.code("2.05"), token=b"whatever", options=[(OBSERVE, b"\x09")], payload=b"1"))
    assert device.expect(lambda m: m.mid == sent.mid).type == RST


def test_another_address_cannot_notify_in_the_name_of_the_device(daemon, device, api):
    request = observe(device, api)
    with daemon.events(f"?ep={device.endpoint}") as events, Device(daemon.coap_port) as other:
        other.register()
        other.notify(request, 9, b"99.0")
        device.notify(request, 10, b"22.5")
        seen = events.wait_count(1)
        events.wait(lambda e: e.name == "NOTIFICATION" and e.data["val"]["value"] == "22.5")
        # Without security an address is no proof; what matters is that the rightful notification arrives.
        assert all(e.data["ep"] == device.endpoint for e in seen)


def test_the_passive_cancel_is_empty_and_the_next_notification_is_reset(device, api):
    request = observe(device, api)
    answer = api.call("DELETE", "/3303/0/5700/observe")
    assert (answer.status, answer.body) == (200, b"")
    device.silence(0.05)
    sent = device.notify(request, 2, b"22.5")
    assert device.expect(lambda m: m.mid == sent.mid).type == RST


def test_the_passive_cancel_of_nothing_is_fine(api):
    answer = api.call("DELETE", "/3303/0/5700/observe")
    assert (answer.status, answer.body) == (200, b"")


def test_the_active_cancel_asks_the_device_with_the_same_token(device, api):
    request = observe(device, api)
    cancel = api.start("DELETE", "/3303/0/5700/observe?active")
    asked = device.serve_one("2.05", b"22.5", TEXT)
    assert (asked.code, asked.path, asked.number(OBSERVE), asked.token) == (GET, "/3303/0/5700", 1, request.token)
    assert asked.one(ACCEPT) == request.one(ACCEPT)
    assert check_response(cancel.result(), "CONTENT(205)")["content"]["value"] == "22.5"
    sent = device.notify(request, 3, b"23.5")
    assert device.expect(lambda m: m.mid == sent.mid).type == RST


def test_the_active_cancel_of_nothing_is_404(api):
    answer = api.call("DELETE", "/3303/0/5700/observe?active")
    assert answer.status == 404 and answer.text.startswith("no observation for path"), answer


def test_a_second_observe_replaces_the_first(device, api):
    first = observe(device, api)
    second = observe(device, api)
    assert first.token != second.token
    old = device.notify(first, 5, b"1.0")
    assert device.expect(lambda m: m.mid == old.mid).type == RST
    new = device.notify(second, 5, b"1.0")
    assert device.expect(lambda m: m.mid == new.mid).type == ACK


def test_an_observe_answered_without_observe_is_shown_and_not_kept(device, api):
    started = api.start("POST", "/3303/0/5700/observe?format=TEXT")
    request = device.serve_one("2.05", b"21.5", TEXT)
    assert check_response(started.result(), "CONTENT(205)")["content"]["value"] == "21.5"
    sent = device.notify(request, 2, b"22.5")
    assert device.expect(lambda m: m.mid == sent.mid).type == RST


def test_an_observe_refused_by_the_device(device, api):
    started = api.start("POST", "/3303/0/9999/observe?format=TEXT")
    device.serve_one("4.04")
    check_response(started.result(), "NOT_FOUND(404)")
    assert api.call("DELETE", "/3303/0/9999/observe?active").status == 404


def test_an_error_notification_ends_the_observation(device, api):
    request = observe(device, api)
    sent = device.send(response(request, "4.04", type=CON))
    assert device.expect(lambda m: m.mid == sent.mid).type == ACK
    shoal.wait_until(lambda: api.call("DELETE", "/3303/0/5700/observe?active&timeout=1").status == 404, 5)


def test_observations_are_issued_again_after_a_register_and_kept_by_an_update(daemon, device, api):
    first = observe(device, api)
    assert device.update().text == "2.04"
    device.silence(0.1)
    device.register()
    again = device.serve_one("2.05", b"24.0", TEXT, [(OBSERVE, b"\x01")])
    assert (again.number(OBSERVE), again.path) == (0, "/3303/0/5700")
    old = device.notify(first, 9, b"1.0")
    if first.token != again.token:
        assert device.expect(lambda m: m.mid == old.mid).type == RST
    with daemon.events(f"?ep={device.endpoint}") as events:
        new = device.notify(again, 2, b"25.0")
        assert device.expect(lambda m: m.mid == new.mid).type == ACK
        events.wait(lambda e: e.name == "NOTIFICATION" and e.data["val"]["value"] == "25.0")


def test_a_cancelled_observation_is_not_issued_again(device, api):
    observe(device, api)
    api.call("DELETE", "/3303/0/5700/observe")
    device.register()
    device.silence(0.2)


# ---- the rest ----

def test_objectspecs_are_those_of_the_devices_versions(daemon, device):
    body = daemon.get(f"/api/objectspecs/{device.endpoint}").json
    ids = [o["id"] for o in body]
    assert ids == sorted(set(ids)) and {0, 1, 2, 3, 4, 5, 6, 7, 3303} <= set(ids)
    temperature = body[ids.index(3303)]
    assert temperature["instancetype"] == "multiple" and temperature["urn"] == "urn:oma:lwm2m:ext:3303"
    assert set(temperature) >= {"id", "name", "instancetype", "mandatory", "urn", "version", "lwm2mversion", "description",
                                "description2", "resourcedefs"}
    value = [r for r in temperature["resourcedefs"] if r["id"] == 5700][0]
    assert (value["operations"], value["instancetype"], value["mandatory"], value["type"]) == ("R", "single", True, "float")
    assert set(value) >= {"id", "name", "operations", "instancetype", "mandatory", "type", "range", "units", "description"}
    device_object = body[ids.index(3)]
    assert device_object["version"] == "1.1"


def test_objectspecs_of_an_unknown_client(daemon):
    check_error(daemon.get("/api/objectspecs/nobody"), 400, "No registered client with id 'nobody'")


def test_the_servers_endpoint_is_told(daemon):
    endpoints = daemon.get("/api/server/endpoint").json
    assert [(e["uri"]["scheme"], e["uri"]["port"]) for e in endpoints] == \
        [("coap", daemon.coap_port), ("coaps", daemon.dtls_port)]
    for endpoint in endpoints:
        assert endpoint["uri"]["full"].startswith(endpoint["uri"]["scheme"] + "://") and endpoint["description"]


def test_health_and_readiness(daemon):
    assert daemon.get("/healthz").status == 200
    assert daemon.get("/readyz").status == 200


def test_metrics_are_in_the_prometheus_format_and_count(daemon, device):
    answer = daemon.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    types = {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge", "histogram", "summary") and name not in types
            types[name] = kind
    before = daemon.metrics()
    assert before and all(k.partition("{")[0] in types for k in before)
    device.update()
    after = daemon.metrics()
    grown = [k for k in before if "update" in k and after[k] == before[k] + 1]
    assert grown, after


def test_the_status_page_is_small_and_honest(daemon):
    answer = daemon.get("/")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/html")
    assert "shoal" in answer.text and len(answer.body) < 20000


@pytest.mark.parametrize("method, path", [("GET", "/api/nothing"), ("GET", "/nothing"), ("POST", "/api/clients"),
                                          ("GET", "/api"), ("PATCH", "/api/clients"), ("GET", "/../etc/passwd")])
def test_an_unknown_route_is_an_error_of_the_caller(daemon, method, path):
    assert daemon.http(method, path).status in (400, 404, 405)


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Host": "localhost.evil.example:8080"},
                                     {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_web_page_of_somebody_else_cannot_use_the_browser_of_a_person_here(daemon, device, api, headers):
    answer = api.call("POST", "/3/0/4", headers=headers)
    assert answer.status == 403, answer
    device.silence(0.02)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(daemon, device):
    with socket.create_connection(("127.0.0.1", daemon.http_port), timeout=5) as s:
        s.sendall(f"PUT /api/clients/{device.endpoint}/3/0/14 HTTP/1.1\r\nHost: localhost\r\n"
                  f"Content-Type: text/plain\r\nContent-Length: {8 << 20}\r\n\r\n".encode())
        assert b" 413 " in s.recv(4096).splitlines()[0]
    device.silence(0.02)
    assert daemon.get("/healthz").status == 200


def test_a_caller_who_goes_away_leaves_nothing_behind(daemon, device, api):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", daemon.http_port)) as s:
            s.sendall(f"GET /api/clients/{device.endpoint}/3/0/0?timeout=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            device.acknowledge(device.next_request())
    # The device can be asked again: nobody waits for those answers any more.
    read = api.start("GET", "/3/0/0?timeout=20&format=TEXT")
    request = device.next_request(10)
    device.answer(request, "2.05", b"acme", format=TEXT)
    check_response(read.result(), "CONTENT(205)")
