# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Devices and clients of other people, on both address families, against one real server."""

import shutil
import subprocess

import pytest

import coap_peer
import shoal

FAMILIES = [pytest.param("127.0.0.1", "udp4", id="IPv4"), pytest.param("::1", "udp6", id="IPv6")]


def read_value(daemon, endpoint, path):
    answer = daemon.get(f"/api/clients/{endpoint}{path}")
    assert answer.status == 200, answer
    assert answer.json["success"], answer
    return answer.json["content"]


@pytest.mark.parametrize("host, family", FAMILIES)
def test_lwm2m_node_lib_is_managed_through_a_crash_of_the_server(start, script, host, family):
    daemon = start("--coap-ack-timeout", "500ms")
    name = coap_peer.unique("node-lib")
    device = script("lwm2m_device.js", host, daemon.coap_port, name, family)
    device.do("create", "/3303/0")
    device.wait("created")
    device.do("set", "/3303/0", "5700", "21.5")
    device.wait("set")
    device.do("set", "/3303/0", "5701", "Cel")
    device.wait("set")
    with daemon.events() as events:
        device.do("register")
        location = device.wait("registered")["location"]
        registration = events.wait("REGISTRATION").data
    assert registration["endpoint"] == name
    assert registration["registrationId"] == location.removeprefix("rd/")
    assert registration["lwM2mVersion"] == "1.0"
    assert registration["lifetime"] == 300
    assert registration["objectLinks"] == [{"url": "/3303/0", "attributes": {}}]

    value = read_value(daemon, name, "/3303/0/5700")
    assert value == {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.5"}
    device.wait("read")
    write = daemon.http("PUT", f"/api/clients/{name}/3303/0/5701", {"id": 5701, "kind": "singleResource",
                                                                   "type": "STRING", "value": "K"})
    assert (write.status, write.json["status"]) == (200, "CHANGED(204)")
    assert device.wait("write") == {"what": "write", "path": "/3303/0/5701", "value": "K"}
    execute = daemon.http("POST", f"/api/clients/{name}/3303/0/5605")
    assert (execute.status, execute.json["status"]) == (200, "CHANGED(204)")
    assert device.wait("execute")["path"] == "/3303/0/5605"
    observe = daemon.http("POST", f"/api/clients/{name}/3303/0/5700/observe")
    assert (observe.status, observe.json["content"]["value"]) == (200, "21.5")

    with daemon.events() as events:
        device.do("set", "/3303/0", "5700", "22.5")
        before = events.wait("NOTIFICATION")
        assert (before.data["ep"], before.data["res"], before.data["val"]["value"]) == (
            name, "/3303/0/5700", "22.5")

    daemon.kill()
    daemon.start()
    assert daemon.client(name)["registrationId"] == registration["registrationId"]
    with daemon.events(last_id=before.id) as events:
        device.do("set", "/3303/0", "5700", "23.5")
        after = events.wait("NOTIFICATION")
        assert (after.data["ep"], after.data["res"], after.data["val"]["value"]) == (
            name, "/3303/0/5700", "23.5")
        # Not by a second observation: the device was asked for nothing since.
        value = read_value(daemon, name, "/3303/0/5701")
        assert value["value"] == "K"
        device.do("unregister")
        device.wait("unregistered")
        assert events.wait("DEREGISTRATION").data["endpoint"] == name
        assert [e.name for e in events.seen] == ["NOTIFICATION", "DEREGISTRATION"]


@pytest.mark.parametrize("host, family", FAMILIES)
def test_a_device_on_the_npm_package_coap_is_managed(start, script, host, family):
    daemon = start()
    name = coap_peer.unique("node-coap")
    device = script("coap_device.js", host, daemon.coap_port, name, family)
    registered = device.wait("registered")
    assert registered["code"] == "2.01"
    assert registered["location"] == "/rd/" + daemon.client(name)["registrationId"]

    assert read_value(daemon, name, "/3/0/0")["value"] == "shoal interop"
    assert read_value(daemon, name, "/3/0/9") == {"kind": "singleResource", "id": 9, "type": "INTEGER",
                                                  "value": "87"}
    execute = daemon.http("POST", f"/api/clients/{name}/3/0/4", "0='x'")
    assert execute.json["status"] == "CHANGED(204)"
    assert device.wait("request", 1)["method"] == "GET"
    assert device.wait("request", 1)["method"] == "GET"
    assert device.wait("request", 1) == {"what": "request", "method": "POST", "url": "/3/0/4", "payload": "0='x'"}
    missing = daemon.get(f"/api/clients/{name}/3/0/1")
    assert (missing.status, missing.json["status"], missing.json["failure"]) == (200, "NOT_FOUND(404)", True)


@pytest.mark.parametrize("host, family", FAMILIES)
def test_separate_responses_of_the_npm_package_coap_are_taken(start, script, host, family):
    daemon = start()
    name = coap_peer.unique("node-coap")
    device = script("coap_device.js", host, daemon.coap_port, name, family)
    device.wait("registered")
    assert read_value(daemon, name, "/3303/0/5700")["value"] == "21.5"
    write = daemon.http("PUT", f"/api/clients/{name}/3303/0/5700?format=TEXT",
                        {"id": 5700, "kind": "singleResource", "type": "FLOAT", "value": "19.25"})
    assert write.json["status"] == "CHANGED(204)"
    assert read_value(daemon, name, "/3303/0/5700")["value"] == "19.25"
    requests = [device.wait("request", 1)["method"] for _ in range(3)]
    assert requests == ["GET", "PUT", "GET"]


def coap_client(*arguments):
    program = shutil.which("coap-client-notls") or shutil.which("coap-client")
    assert program, "Debian's libcoap3-bin is needed"
    return subprocess.run([program, "-B", "5", *arguments], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_coap_client_of_libcoap_registers_updates_and_leaves(start, host):
    daemon = start()
    name = coap_peer.unique("libcoap")
    server = f"coap://{host}:{daemon.coap_port}"
    answer = coap_client("-v", "7", "-m", "post", "-t", "40", "-e", "</1/0>,</3/0>",
                         f"{server}/rd?ep={name}&lt=300&lwm2m=1.1&b=U")
    assert answer.returncode == 0
    registration = daemon.client(name)
    assert "2.01" in answer.stdout + answer.stderr
    # Each segment of the location is an option, printed by name.
    assert "Location-Path:rd" in answer.stdout + answer.stderr
    assert f"Location-Path:{registration['registrationId']}" in answer.stdout + answer.stderr
    assert [link["url"] for link in registration["objectLinks"]] == ["/1/0", "/3/0"]
    assert registration["address"].rpartition(":")[0] in (host, host.strip("[]"))

    location = f"{server}/rd/{registration['registrationId']}"
    answer = coap_client("-v", "7", "-m", "post", f"{location}?lt=1234")
    assert "2.04" in answer.stdout + answer.stderr
    assert daemon.client(name)["lifetime"] == 1234
    answer = coap_client("-v", "7", "-m", "delete", location)
    assert "2.02" in answer.stdout + answer.stderr
    assert daemon.client(name) is None
    answer = coap_client("-v", "7", "-m", "delete", location)
    assert "4.04" in answer.stdout + answer.stderr
