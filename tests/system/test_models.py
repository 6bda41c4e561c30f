# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Object definitions that come and go while the server runs, and what devices say in their terms."""

import json
import socket

import pytest

import coap_peer
from coap_peer import TLV, Device

OBJECT = 33000
XML = "application/xml"


def item(number, name, type_, operations="R", units="", multiple="Single"):
    return (f'<Item ID="{number}"><Name>{name}</Name><Operations>{operations}</Operations>'
            f"<MultipleInstances>{multiple}</MultipleInstances><Mandatory>Optional</Mandatory><Type>{type_}</Type>"
            f"<RangeEnumeration></RangeEnumeration><Units>{units}</Units><Description></Description></Item>\n")


def definition(version, *items, name="Pump", number=OBJECT, comment=""):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n{comment}<LWM2M>\n<Object ObjectType="MODefinition">\n'
            f"<Name>{name}</Name><Description1></Description1><ObjectID>{number}</ObjectID>\n"
            f"<ObjectURN>urn:oma:lwm2m:x:{number}:{version}</ObjectURN><LWM2MVersion>1.1</LWM2MVersion>\n"
            f"<ObjectVersion>{version}</ObjectVersion><MultipleInstances>Multiple</MultipleInstances>"
            f"<Mandatory>Optional</Mandatory>\n<Resources>\n{''.join(items)}</Resources></Object></LWM2M>\n")


# Resource 1 is another thing in each version.
FIRST = definition("1.0", item(1, "Speed", "Integer", units="1/min"), item(2, "Maker", "String", "RW"))
SECOND = definition("1.1", item(1, "Flow", "Float", units="l/s"), item(2, "Maker", "String", "RW"),
                    item(3, "Since", "Time"), item(4, "Running", "Boolean"), item(5, "Blob", "Opaque"),
                    item(6, "Fed by", "Objlnk"), item(7, "Hours", "Unsigned Integer", multiple="Multiple"))
FIRST_ROW = {"id": OBJECT, "version": "1.0", "name": "Pump", "origin": "stored"}
SECOND_ROW = FIRST_ROW | {"version": "1.1"}


def put(daemon, xml):
    return daemon.http("PUT", "/api/models", xml, XML)


def remove(daemon, version, number=OBJECT):
    return daemon.http("DELETE", f"/api/models/{number}/{version}")


def listed(daemon, number=OBJECT):
    return [row for row in daemon.get("/api/models").json if row["id"] == number]


@pytest.fixture
def models(daemon):
    """The daemon, without definitions of our object before and after."""
    assert listed(daemon) == []
    yield daemon
    for row in listed(daemon):
        assert remove(daemon, row["version"]).status == 204


def links(version):
    return f"</1/0>,</3/0>,</{OBJECT}>;ver={version},</{OBJECT}/0>".encode()


def read(daemon, device, path, payload):
    """The content of a Read that the device answers with these bytes of TLV."""
    answer = daemon.start_http("GET", f"/api/clients/{device.endpoint}{path}?format=TLV")
    assert device.serve_one("2.05", payload, TLV).path == path
    assert answer.result().status == 200, answer.result()
    return answer.result().json["content"]


def test_what_is_put_can_be_got_and_is_in_the_list(models):
    answer = put(models, FIRST)
    assert (answer.status, answer.json) == (200, FIRST_ROW)
    assert listed(models) == [FIRST_ROW]
    got = models.get(f"/api/models/{OBJECT}/1.0").json
    assert (got["id"], got["name"], got["version"], got["lwm2mversion"], got["instancetype"], got["urn"]) == \
        (OBJECT, "Pump", "1.0", "1.1", "multiple", f"urn:oma:lwm2m:x:{OBJECT}")
    assert [(r["id"], r["name"], r["type"], r["units"], r["operations"]) for r in got["resourcedefs"]] == \
        [(1, "Speed", "integer", "1/min", "R"), (2, "Maker", "string", "", "RW")]


def test_what_is_put_again_replaces(models):
    assert put(models, FIRST).status == 200
    assert put(models, definition("1.0", item(9, "Other", "String"), name="Better pump")).status == 200
    assert listed(models) == [FIRST_ROW | {"name": "Better pump"}]
    assert [r["id"] for r in models.get(f"/api/models/{OBJECT}/1.0").json["resourcedefs"]] == [9]


def test_two_versions_stand_side_by_side_and_go_one_by_one(models):
    assert put(models, SECOND).json == SECOND_ROW and put(models, FIRST).json == FIRST_ROW
    assert sorted(listed(models), key=lambda row: row["version"]) == [FIRST_ROW, SECOND_ROW]
    assert models.get(f"/api/models/{OBJECT}/1.0").json["resourcedefs"][0]["name"] == "Speed"
    assert models.get(f"/api/models/{OBJECT}/1.1").json["resourcedefs"][0]["name"] == "Flow"
    gone = remove(models, "1.0")
    assert (gone.status, gone.body) == (204, b"")
    assert listed(models) == [SECOND_ROW]
    assert models.get(f"/api/models/{OBJECT}/1.0").status == 404
    assert remove(models, "1.0").status == 404


def test_each_device_is_read_in_the_version_that_it_declares(models):
    assert put(models, FIRST).status == 200 and put(models, SECOND).status == 200
    with Device(models.coap_port) as old, Device(models.coap_port) as new:
        old.register(links=links("1.0"))
        new.register(links=links("1.1"))
        path = f"/{OBJECT}/0/1"
        assert read(models, old, path, b"\xc4\x01\x3f\xc0\x00\x00") == \
            {"kind": "singleResource", "id": 1, "type": "INTEGER", "value": "1069547520"}
        assert read(models, new, path, b"\xc4\x01\x3f\xc0\x00\x00") == \
            {"kind": "singleResource", "id": 1, "type": "FLOAT", "value": "1.5"}
        for device, name, units in ((old, "Speed", "1/min"), (new, "Flow", "l/s")):
            specs = {s["id"]: s for s in models.get(f"/api/objectspecs/{device.endpoint}").json}
            assert [(r["name"], r["units"]) for r in specs[OBJECT]["resourcedefs"] if r["id"] == 1] == [(name, units)]


def test_an_instance_is_read_with_the_types_of_its_definition(models):
    payload = bytes.fromhex("c1010a c40261636d65 c4035182428f c10401 c205ffee c40600030000 8707 410001 420101f4")
    with Device(models.coap_port) as device:
        device.register(links=links("1.1"))
        # Before, nobody knows what these bytes are.
        before = read(models, device, f"/{OBJECT}/0", payload)["resources"]
        assert {r["type"] for r in before} == {"OPAQUE"}
        assert put(models, SECOND).status == 200
        resources = read(models, device, f"/{OBJECT}/0", payload)["resources"]
        assert {r["id"]: (r["type"], r.get("value", r.get("values"))) for r in resources} == {
            1: ("FLOAT", "10.0"), 2: ("STRING", "acme"), 3: ("TIME", 1367491215000), 4: ("BOOLEAN", True),
            5: ("OPAQUE", "ffee"), 6: ("OBJLNK", {"objectId": 3, "objectInstanceId": 0, "nullLink": False}),
            7: ("UNSIGNED_INTEGER", {"0": "1", "1": "500"})}
        # And once it is gone they are bytes again.
        assert remove(models, "1.1").status == 204
        assert {r["type"] for r in read(models, device, f"/{OBJECT}/0", payload)["resources"]} == {"OPAQUE"}


def test_an_event_tells_the_units_of_the_definition(models):
    assert put(models, SECOND).status == 200
    path = f"/{OBJECT}/0/1"
    with Device(models.coap_port) as device, models.events(f"?ep={device.endpoint}") as events:
        device.register(links=links("1.1"))
        answer = models.start_http("POST", f"/api/clients/{device.endpoint}{path}/observe?format=TLV")
        observe = device.serve_one("2.05", b"\xc4\x01\x3f\xc0\x00\x00", TLV, [(coap_peer.OBSERVE, b"\x01")])
        assert answer.result().status == 200
        device.notify(observe, 2, b"\xc4\x01\x40\x20\x00\x00", format=TLV)
        data = events.wait("NOTIFICATION").data
        assert data["val"] == {"kind": "singleResource", "id": 1, "type": "FLOAT", "value": "2.5"}
        assert data["units"] == {path: "l/s"}


def test_what_is_written_must_fit_the_definition(models):
    assert put(models, SECOND).status == 200
    with Device(models.coap_port) as device:
        device.register(links=links("1.1"))
        url = f"/api/clients/{device.endpoint}/{OBJECT}/0/4?format=TLV"
        node = {"id": 4, "kind": "singleResource", "type": "STRING", "value": "perhaps"}
        assert models.http("PUT", url, node).status == 400
        answer = models.start_http("PUT", url, node | {"type": "BOOLEAN", "value": True})
        assert device.serve_one("2.04").payload == b"\xc1\x04\x01"
        assert answer.result().json["success"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_keeps_what_was_put_and_what_was_removed(start, end):
    daemon = start()
    assert put(daemon, FIRST).status == 200 and put(daemon, SECOND).status == 200
    assert remove(daemon, "1.0").status == 204
    getattr(daemon, end)()
    daemon.start()
    assert listed(daemon) == [SECOND_ROW]
    assert daemon.get(f"/api/models/{OBJECT}/1.1").json["resourcedefs"][0]["name"] == "Flow"
    with Device(daemon.coap_port) as device:
        device.register(links=links("1.1"))
        assert read(daemon, device, f"/{OBJECT}/0/1", b"\xc4\x01\x3f\xc0\x00\x00")["type"] == "FLOAT"


def test_what_stands_in_for_a_built_in_definition_gives_it_back(models):
    before = [row for row in models.get("/api/models").json if row["id"] == 3303]
    version = before[0]["version"]
    name = before[0]["name"]
    assert remove(models, version, 3303).status == 409
    assert put(models, definition(version, item(5700, "Mine", "String"), name="Mine", number=3303)).status == 200
    assert {"id": 3303, "version": version, "name": "Mine", "origin": "stored"} in listed(models, 3303)
    assert remove(models, version, 3303).status == 204
    assert listed(models, 3303) == before
    assert models.get(f"/api/models/3303/{version}").json["name"] == name


NO_NUMBER, TWICE = FIRST.replace(str(OBJECT), "70000"), FIRST.replace('ID="2"', 'ID="1"')


@pytest.mark.parametrize("xml, detail", [
    pytest.param("", "a definition has 1 byte to 1 MiB", id="empty"),
    pytest.param("no XML", "line 1: ", id="no XML"),
    pytest.param("<LWM2M>\n<Object>\n<Name>x</Name>\n</Objekt></LWM2M>", "line 4: ", id="tags that do not match"),
    pytest.param(FIRST[:len(FIRST) // 2], "line 8: ", id="cut short"),
    pytest.param("<LWM2M>\n\n</LWM2M>", "line 3: there is no Object", id="no object"),
    # What an object lacks is known at its end.
    pytest.param(NO_NUMBER, "line 10: ObjectID ", id="object id"),
    pytest.param(TWICE, "line 10: two resources", id="the same resource twice"),
    pytest.param(FIRST.replace("Integer", "Number"), "line 8: Type is none of String, ", id="type"),
    pytest.param(FIRST.replace("<Operations>RW<", "<Operations>Q<"), "line 9: Operations is none of ", id="operations"),
    pytest.param(FIRST + FIRST, "line 11: ", id="two documents")])
def test_bad_xml_is_refused_and_the_line_is_told(models, xml, detail):
    answer = put(models, xml)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json"), answer
    problem = json.loads(answer.body)
    assert (problem["title"], problem["status"]) == ("Not an object definition", 400)
    assert problem["detail"].startswith(detail), problem
    assert listed(models) == []


def test_a_definition_has_at_most_a_mebibyte(models):
    limit = 1 << 20
    room = limit - len(definition("1.0", comment="<!---->"))
    exactly = definition("1.0", comment=f"<!--{'x' * room}-->")
    assert len(exactly) == limit
    assert put(models, exactly).status == 200
    # Refused for its length alone: nobody has to send the body to learn it.
    with socket.create_connection(("127.0.0.1", models.http_port), timeout=10) as s:
        s.sendall(f"PUT /api/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\n\r\n".encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert listed(models) == [FIRST_ROW]


def test_entities_are_not_expanded(models):
    bomb = '<!DOCTYPE LWM2M [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)) + "]>\n"
    answer = put(models, definition("1.0", name="&j;", comment=bomb))
    assert answer.status == 400 and "document type" in answer.text, answer
    assert listed(models) == []
