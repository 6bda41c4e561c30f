# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Requests to devices in queue mode that sleep: they wait in the store, also through kill -9."""

import subprocess
import time

import pytest

import shoal
from coap_peer import TEXT, Device

AWAKE = ["--lwm2m-awake-time", "2s", "--coap-ack-timeout", "500ms"]


@pytest.fixture
def device(start):
    daemon = start(*AWAKE)
    with Device(daemon.coap_port) as d:
        d.daemon = daemon
        yield d


def register(device):
    device.register(links=b"</1/0>,</3/0>", query=["b=U", "Q"])


def sleeps(device):
    shoal.wait_until(lambda: device.daemon.client(device.endpoint)["sleeping"], what="asleep")


def queued(answer):
    assert answer.status == 200 and answer.json["delayed"] is True, answer
    return answer.json["requestId"]


def ask(device, method, path, **more):
    return queued(device.daemon.http(method, f"/api/clients/{device.endpoint}{path}", **more))


def states(device):
    return [r["state"] for r in device.daemon.get(f"/api/clients/{device.endpoint}/requests").json]


def crash(daemon):
    daemon.kill()
    daemon.start()


def test_a_sleeping_device_gets_its_requests_in_order_when_it_wakes(device):
    daemon = device.daemon
    register(device)
    with daemon.events() as events:
        sleeps(device)
        events.wait("SLEEPING")
        first = daemon.http("GET", f"/api/clients/{device.endpoint}/3/0/9")
        assert list(first.json)[:4] == ["ep", "path", "requestId", "delayed"]
        ids = [queued(first), ask(device, "POST", "/3/0/4"),
               ask(device, "PUT", "/1/0/1", body={"id": 1, "type": "INTEGER", "value": "60"})]
        assert states(device) == ["queued"] * 3
        device.silence(0.3)
        device.update()
        events.wait("AWAKE")
        assert device.serve_one("2.05", b"77", TEXT).path == "/3/0/9"
        assert device.serve_one("2.04").path == "/3/0/4"
        assert device.serve_one("2.04").path == "/1/0/1"
        events.wait(lambda e: e.name == "REQUEST_RESPONSE" and e.data["requestId"] == ids[2])
        told = [e.data for e in events.seen if e.name == "REQUEST_RESPONSE"]
    assert [t["requestId"] for t in told] == ids
    assert told[0] == {"ep": device.endpoint, "path": "/3/0/9", "requestId": ids[0],
                       "response": {"status": "CONTENT(205)", "valid": True, "success": True, "failure": False,
                                    "content": {"kind": "singleResource", "id": 9, "type": "INTEGER",
                                                "value": "77"}},
                       "delayed": True, "state": "answered"}
    kept = daemon.get(f"/api/requests/{ids[0]}").json
    assert kept["response"] == told[0]["response"] and kept["state"] == "answered" and kept["attempts"] == 1


def test_nothing_is_lost_and_nothing_comes_twice_when_the_server_dies(device):
    daemon = device.daemon
    register(device)
    with daemon.events() as events:
        sleeps(device)
        start = events.wait("SLEEPING").id
    ids = [ask(device, "POST", f"/3/0/{n}") for n in (4, 5, 6, 7)]
    crash(daemon)
    assert states(device) == ["queued"] * 4
    device.silence(1.0)
    device.update()
    assert device.serve_one("2.04").path == "/3/0/4"
    second = device.serve_one("2.04")
    assert second.path == "/3/0/5"
    # The end of the second is stored, or it is not; the third has left, or it has not.
    third = device.receive()
    assert third.path == "/3/0/6"
    crash(daemon)
    device.update()
    # What acts is not done twice: of the third nobody knows, and the fourth goes on.
    fourth = device.serve_one("2.04")
    assert fourth.path == "/3/0/7"
    with daemon.events(last_id=start) as events:
        events.wait(lambda e: e.name == "REQUEST_RESPONSE" and e.data["requestId"] == ids[3])
        told = [(e.data["requestId"], e.data["state"]) for e in events.seen if e.name == "REQUEST_RESPONSE"]
    assert told == [(ids[0], "answered"), (ids[1], "answered"), (ids[2], "unknown"), (ids[3], "answered")]
    crash(daemon)
    assert states(device) == ["answered", "answered", "unknown", "answered"]


def test_a_read_that_was_sent_is_sent_again_after_the_crash(device):
    daemon = device.daemon
    register(device)
    sleeps(device)
    id = ask(device, "GET", "/3/0/9")
    device.update()
    first = device.receive()
    assert first.path == "/3/0/9"
    assert daemon.get(f"/api/requests/{id}").json["state"] == "sent"
    crash(daemon)
    again = device.serve_one("2.05", b"5", TEXT)
    assert (again.path, again.token) == (first.path, first.token)
    shoal.wait_until(lambda: states(device) == ["answered"], what="answered")


def test_time_to_live_and_taking_back(device):
    daemon = device.daemon
    register(device)
    sleeps(device)
    with daemon.events() as events:
        short = ask(device, "GET", "/3/0/1?ttl=1")
        long = ask(device, "GET", "/3/0/2")
        assert events.wait("REQUEST_RESPONSE").data["state"] == "expired"
        assert daemon.get(f"/api/requests/{short}").json["state"] == "expired"
        assert daemon.http("DELETE", f"/api/requests/{short}").status == 409
        assert daemon.http("DELETE", f"/api/requests/{long}").status == 204
        assert events.wait(lambda e: e.data.get("requestId") == long).data["state"] == "cancelled"
    assert daemon.http("DELETE", f"/api/requests/{long}").status == 409
    other = long[:-1] + ("0" if long[-1] != "0" else "1")
    for id in (other, "x", "00000000" + long[8:]):
        assert daemon.get(f"/api/requests/{id}").status == 404
        assert daemon.http("DELETE", f"/api/requests/{id}").status == 404
    device.update()
    device.silence(0.5)


def test_without_a_queue_it_is_as_with_other_devices(start):
    daemon = start(*AWAKE, "--no-queue-enabled")
    with Device(daemon.coap_port) as device:
        device.daemon = daemon
        register(device)
        sleeps(device)
        call = daemon.start_http("GET", f"/api/clients/{device.endpoint}/3/0/9?timeout=5")
        assert device.serve_one("2.05", b"5", TEXT).path == "/3/0/9"
        assert call.result().json["success"]
        assert states(device) == []


def test_a_fleet_of_sleepers_and_a_crash(start):
    """Simulated devices, which hear nothing while they sleep; the server dies between queueing and waking."""
    count, each = 40, 5
    daemon = start(*AWAKE, "--coap-max-retransmit", "2")
    sim = subprocess.Popen([shoal.program("shoal-sim"), "--server", f"coap://127.0.0.1:{daemon.coap_port}",
                            "--count", str(count), "--queue-mode", "--awake", "1500ms", "--update-interval", "15s",
                            "--retry", "1s"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        with daemon.events() as events:
            events.wait("REGISTRATION", timeout=30)
            start_id = events.seen[0].id
        clients = shoal.wait_until(lambda: len(c := daemon.get("/api/clients").json) == count and c, timeout=30,
                                   what="all registered")
        names = [c["endpoint"] for c in clients]
        shoal.wait_until(lambda: sum(c["sleeping"] for c in daemon.get("/api/clients").json) > count // 2,
                         timeout=30, what="most asleep")
        ids = {name: [] for name in names}
        for n in range(each):
            for name in names:
                answer = daemon.http("GET", f"/api/clients/{name}/3/0/{n}?timeout=1")
                if answer.json.get("delayed"):
                    ids[name].append(answer.json["requestId"])
        assert sum(map(len, ids.values())) > count * each // 2
        crash(daemon)
        with daemon.events(last_id=start_id) as events:
            wanted = {id for some in ids.values() for id in some}
            shoal.wait_until(lambda: wanted <= {e.data["requestId"] for e in list(events.seen)
                                                if e.name == "REQUEST_RESPONSE"}, timeout=40, what="all answered")
            time.sleep(0.5)
            told = [e.data for e in list(events.seen) if e.name == "REQUEST_RESPONSE"]
        assert {t["state"] for t in told} == {"answered"}
        for name in names:
            assert [t["requestId"] for t in told if t["ep"] == name] == ids[name]
    finally:
        sim.terminate()
        sim.wait()


def test_people_see_and_take_back_what_waits(device):
    daemon = device.daemon

    def ctl(*arguments, code=0):
        result = shoal.run("shoalctl", "--url", f"http://127.0.0.1:{daemon.http_port}", *arguments)
        assert result.returncode == code, result
        return result

    register(device)
    sleeps(device)
    told = ctl("read", device.endpoint, "/3/0/9", "--ttl", "2h").stderr
    id = told.split()[-1]
    row = daemon.get(f"/api/requests/{id}").json
    assert row["expires"] - row["added"] == 7200000
    assert "ttl" in ctl("read", device.endpoint, "/3/0/9", "--ttl", "soon", code=2).stderr
    ctl("exec", device.endpoint, "/3/0/4", "--ttl", "60")
    lines = ctl("requests", "list", device.endpoint).stdout.splitlines()
    assert len(lines) == 3 and lines[1].split()[:4] == [id, "read", "/3/0/9", "queued"]
    assert "execute" in lines[2]
    assert id in ctl("requests", "show", id).stdout
    ctl("requests", "cancel", id)
    assert "sent to the device already, or is over" in ctl("requests", "cancel", id, code=1).stderr
    assert "cancelled" in ctl("requests", "show", id).stdout
    assert ctl("requests", "show", "x", code=1).stderr


def test_policies_reach_devices_that_register_and_those_that_are_there(start):
    daemon = start()

    def ctl(*arguments, code=0):
        result = shoal.run("shoalctl", "--url", f"http://127.0.0.1:{daemon.http_port}", *arguments)
        assert result.returncode == code, result
        return result

    with Device(daemon.coap_port, endpoint="sensor-1") as here, Device(daemon.coap_port, endpoint="sensor-2") as later:
        here.register()
        with daemon.events() as events:
            ctl("policy", "set", "temperature", "sensor-*", "/3303/0/5700", "--attributes", "pmin=5")
            asked = here.serve_one("2.04")
            assert (asked.path, asked.query) == ("/3303/0/5700", ["pmin=5"])
            observed = here.serve_one("2.05", b"21.5", TEXT, [(6, b"\x01")])
            assert observed.number(6) == 0
            assert events.wait("NOTIFICATION").data["val"]["value"] == "21.5"
            daemon.kill()
            daemon.start()
        assert ctl("policy", "list").stdout.splitlines()[1].split() == [
            "temperature", "sensor-*", "pmin=5", "/3303/0/5700"]
        shoal.wait_until(lambda: daemon.get("/api/clients/sensor-1/observations").json == [
            {"path": "/3303/0/5700", "state": "observed", "origin": "policy", "policy": "temperature",
             "format": "SENML_CBOR"}], what="known after the start")
        here.silence(0.5)
        later.register()
        later.serve_one("2.04")
        later.serve_one("4.04")
        shoal.wait_until(lambda: "refused" in ctl("observations", "sensor-2").stdout, what="refused")
        ctl("policy", "delete", "temperature")
        shoal.wait_until(lambda: daemon.get("/api/clients/sensor-1/observations").json == [], what="gone")
        sent = here.notify(observed, 2, b"22")
        assert here.expect(lambda m: m.mid == sent.mid).type == 3
        put = daemon.http("PUT", "/api/clients/sensor-1/observations", {"paths": ["/3/0/9"]})
        assert put.json == [{"path": "/3/0/9", "state": "wanted", "origin": "declared"}]
        here.serve_one("2.05", b"95", TEXT, [(6, b"\x01")])
        shoal.wait_until(lambda: daemon.get("/api/clients/sensor-1/observations").json[0]["state"] == "observed",
                         what="observed")
