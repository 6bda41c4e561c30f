# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The event stream: ids, replay, gaps, filters, slow readers (rest.md, 8 and part B)."""

import contextlib
import socket
import time

import pytest

import coap_peer
import shoal
from coap_peer import OBSERVE, TEXT, Device


def observed(daemon, device, path="/3303/0/5700"):
    """Registers, and lets the server observe `path`; returns the device's side of the observation."""
    device.register()
    call = daemon.start_http("POST", f"/api/clients/{device.endpoint}{path}/observe?format=TEXT")
    request = device.serve_one("2.05", b"0", TEXT, [(OBSERVE, b"\x01")])
    assert call.result().json["success"]
    return request


def raw_stream(daemon, headers="", query=""):
    s = socket.create_connection(("127.0.0.1", daemon.http_port), timeout=15)
    s.sendall(f"GET /api/event{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n".encode())
    return s


def test_the_wire_format_is_that_of_the_compatible_servers_plus_an_id(daemon):
    with Device(daemon.coap_port) as d, raw_stream(daemon, query=f"?ep={d.endpoint}") as s:
        data = b""
        while b"\r\n\r\n" not in data:
            data += s.recv(4096)
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode().lower().replace(" ", "").split("\r\n")
        assert lines[0] == "http/1.1200ok"
        assert "content-type:text/event-stream;charset=utf-8" in lines
        assert not any(x.startswith("content-length") for x in lines)
        d.register()
        while b"REGISTRATION" not in data or not data.endswith(b"\r\n\r\n"):
            data += s.recv(65536)
        block = next(b for b in data.split(b"\r\n\r\n") if b"event:" in b)
        assert [x.partition(b": ")[0] for x in block.split(b"\r\n")] == [b"event", b"data", b"id"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html"])
def test_another_accept_is_405(daemon, accept):
    assert daemon.get("/api/event", headers={"Accept": accept}).status == 405


def test_every_event_has_an_id_of_its_own(daemon):
    with Device(daemon.coap_port) as d, daemon.events(f"?ep={d.endpoint}") as events:
        d.register()
        for _ in range(20):
            assert d.update().text == "2.04"
        d.deregister()
        seen = events.wait_count(22)
        assert [e.name for e in seen] == ["REGISTRATION"] + ["UPDATED"] * 20 + ["DEREGISTRATION"]
        assert all(e.id for e in seen) and len({e.id for e in seen}) == 22


def test_a_reader_continues_behind_the_last_id_it_saw(daemon):
    with Device(daemon.coap_port) as d:
        with daemon.events(f"?ep={d.endpoint}") as events:
            d.register()
            for i in range(10):
                d.update(f"lt={100 + i}")
            seen = events.wait_count(11)
        for i in range(10, 20):
            d.update(f"lt={100 + i}")
        for at in (0, 5, 10):
            with daemon.events(f"?ep={d.endpoint}", last_id=seen[at].id) as again:
                rest = again.wait_count(20 - at)
                d_updates = [e.data["update"]["lifetime"] for e in rest]
                assert d_updates == list(range(100 + at, 120))
                assert [e.id for e in rest[:10 - at]] == [e.id for e in seen[at + 1:]]


def test_replay_goes_over_into_the_live_stream_without_a_hole(daemon):
    with Device(daemon.coap_port) as d:
        with daemon.events(f"?ep={d.endpoint}") as events:
            d.register()
            first = events.wait("REGISTRATION").id
        for i in range(300):
            d.update(f"lt={1000 + i}")
        with daemon.events(f"?ep={d.endpoint}", last_id=first) as again:
            for i in range(300, 600):
                d.update(f"lt={1000 + i}")
            seen = again.wait_count(600, 20)
            assert [e.data["update"]["lifetime"] for e in seen] == list(range(1000, 1600))


def test_replay_survives_a_restart(start):
    daemon = start()
    with Device(daemon.coap_port) as d:
        with daemon.events() as events:
            d.register()
            first = events.wait("REGISTRATION")
            d.update("lt=111")
            second = events.wait("UPDATED")
        d.update("lt=222")
        assert daemon.stop() == 0
        daemon.start()
        d.update("lt=333")
        with daemon.events(last_id=first.id) as again:
            seen = again.wait_count(3)
            assert [e.data["update"]["lifetime"] for e in seen] == [111, 222, 333]
            assert seen[0].id == second.id


def test_without_an_id_the_stream_begins_now(daemon):
    with Device(daemon.coap_port) as d:
        d.register()
        with daemon.events(f"?ep={d.endpoint}") as events:
            d.update("lt=55")
            assert events.wait("UPDATED").data["update"]["lifetime"] == 55
            assert len(events.seen) == 1


@pytest.mark.parametrize("last", ["nonsense", "", "-1", "99999999999999999999999", "1-2-3"])
def test_an_id_that_is_none_of_ours_does_no_harm(daemon, last):
    with Device(daemon.coap_port) as d:
        answer = daemon.http("GET", "/healthz")
        assert answer.status == 200
        events = shoal.Events("127.0.0.1", daemon.http_port, f"?ep={d.endpoint}", last)
        try:
            assert events.status in (200, 400)
            if events.status == 200:
                d.register()
                events.wait("REGISTRATION")
        finally:
            events.close()


def test_the_filter_shows_one_endpoint_only(daemon):
    with Device(daemon.coap_port) as d, Device(daemon.coap_port) as other:
        with daemon.events(f"?ep={d.endpoint}") as events:
            other.register()
            d.register()
            other.update()
            d.update()
            other.deregister()
            d.deregister()
            seen = events.wait_count(3)
            assert [e.name for e in seen] == ["REGISTRATION", "UPDATED", "DEREGISTRATION"]
            time.sleep(0.2)
            assert len(events.seen) == 3


def test_many_readers_get_the_same(daemon):
    with Device(daemon.coap_port) as d, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(daemon.events(f"?ep={d.endpoint}")) for _ in range(20)]
        d.register()
        d.update()
        ids = [[e.id for e in r.wait_count(2)] for r in readers]
        assert all(i == ids[0] for i in ids)


def test_a_deregistration_tells_its_reason(start):
    daemon = start("--lwm2m-lifetime-grace", "0s")
    with Device(daemon.coap_port) as d, daemon.events() as events:
        def reason(count):
            gone = [e for e in events.wait_count(count) if e.name == "DEREGISTRATION"]
            return gone[-1].data["reason"]
        d.register()
        d.deregister()
        reasons = [reason(2)]
        d.register()
        d.register()
        reasons.append(reason(5))
        assert daemon.http("DELETE", f"/api/clients/{d.endpoint}").status < 300
        reasons.append(reason(6))
        d.register(lt=1)
        reasons.append(reason(8))
        assert len(set(reasons)) == 4 and all(isinstance(r, str) and r for r in reasons), reasons


def test_a_notification_has_every_value_with_its_time(daemon):
    with Device(daemon.coap_port) as d:
        request = observed(daemon, d)
        payload = (b'[{"bn":"/3303/0/5700","bt":1700000000,"v":1.5},{"t":10,"v":2.5},{"t":20,"v":3.5}]')
        with daemon.events(f"?ep={d.endpoint}") as events:
            d.notify(request, 2, payload, coap_peer.SENML_JSON)
            data = events.wait("NOTIFICATION").data
            assert data["val"]["value"] == "3.5"
            values = data["values"]
            assert "1.5" in str(values) and "2.5" in str(values) and "3.5" in str(values)


def test_a_heartbeat_comes_every_ten_seconds(start):
    with start().events() as events:
        shoal.wait_until(lambda: events.heartbeats, 13, "a heartbeat")
        assert not events.seen


def update_all(device, lifetimes, links):
    """Updates without waiting for the answer of each; returns how long it took until all were acknowledged."""
    begin = time.monotonic()
    for lifetime in lifetimes:
        device.send(device.update_message([f"lt={lifetime}"], links))
    for _ in lifetimes:
        assert device.receive().text == "2.04"
    return time.monotonic() - begin


def test_a_reader_behind_the_start_of_the_log_gets_a_gap_event_first(start):
    daemon = start("--store-journal-size-max", "64k", "--store-journal-age-max", "1s")
    with Device(daemon.coap_port) as d:
        with daemon.events() as events:
            d.register()
            first = events.wait("REGISTRATION")
        links = b"</1/0>" + b"".join(b",</3303/%d>" % i for i in range(80))
        end = time.monotonic() + 20
        lifetime = 1000
        while time.monotonic() < end:
            for _ in range(10):
                update_all(d, range(lifetime + 1, lifetime + 21), links)
                lifetime += 20
            with daemon.events(last_id=first.id) as again:
                seen = again.wait_count(1)
                if seen[0].name == "GAP":
                    again.wait(lambda e: e.name == "UPDATED" and e.data["update"]["lifetime"] == lifetime)
                    updates = [e.data["update"]["lifetime"] for e in again.seen if e.name == "UPDATED"]
                    assert updates == list(range(lifetime - len(updates) + 1, lifetime + 1))
                    assert [e.name for e in again.seen].count("GAP") == 1
                    assert seen[0].id == seen[0].data["to"] != first.id == seen[0].data["from"]
                    return
    raise AssertionError("the log was not trimmed")


def test_a_reader_who_does_not_read_holds_up_no_device(start):
    daemon = start()
    links = b"</1/0>" + b"".join(b",</3303/%d>" % i for i in range(80))
    with Device(daemon.coap_port) as d, raw_stream(daemon) as stuck, daemon.events() as events:
        d.register(links=links)
        # Some 20 MB of events: far more than socket buffers hold.
        slowest = max(update_all(d, range(1000 + i, 1020 + i), links) for i in range(0, 2000, 20))
        assert slowest < 1.5, slowest
        assert daemon.rss() < 200 << 20
        # The one who reads has all of it.
        seen = events.wait_count(2001, 30)
        assert [e.data["update"]["lifetime"] for e in seen[1:]] == list(range(1000, 3000))


def test_a_reader_who_was_too_slow_can_resume_without_a_hole(start):
    daemon = start()
    links = b"</1/0>" + b"".join(b",</3303/%d>" % i for i in range(80))
    with Device(daemon.coap_port) as d, raw_stream(daemon) as stuck:
        d.register(links=links)
        for i in range(0, 1500, 20):
            update_all(d, range(1000 + i, 1020 + i), links)
        # It wakes up and reads what there is, until the end or until it is up to date.
        stuck.settimeout(3)
        data = b""
        with contextlib.suppress(TimeoutError):
            while more := stuck.recv(1 << 20):
                data += more
        blocks = [b for b in data.partition(b"\r\n\r\n")[2].split(b"\r\n\r\n") if b.strip()]
        ids = [line.partition(b":")[2].strip().decode() for b in blocks for line in b.split(b"\r\n") if line.startswith(b"id:")]
        told = sum(b"event: UPDATED" in b for b in blocks)
        assert ids
        if told < 1500:
            with daemon.events(last_id=ids[-1]) as rest:
                rest.wait(lambda e: e.name == "UPDATED" and e.data["update"]["lifetime"] == 2499, 20)
                told += sum(e.name == "UPDATED" for e in rest.seen)
        assert told == 1500
