# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""kill -9 at any moment: what was acknowledged is there, once; devices go on without noticing."""

import pytest

import coap_peer
import shoal
from coap_peer import ACK, OBSERVE, RST, TEXT, Device


def crash(daemon):
    daemon.kill()
    daemon.start()


def observe(daemon, device, path="/3303/0/5700"):
    call = daemon.start_http("POST", f"/api/clients/{device.endpoint}{path}/observe?format=TEXT")
    request = device.serve_one("2.05", b"0", TEXT, [(OBSERVE, b"\x01")])
    assert call.result().json["success"]
    return request


@pytest.fixture
def device(start):
    daemon = start("--coap-ack-timeout", "500ms")
    with Device(daemon.coap_port) as d:
        d.daemon = daemon
        yield d


def test_registrations_survive_with_every_member(device):
    daemon = device.daemon
    links = b'</lwm2m>;rt="oma.lwm2m";ct=110,</lwm2m/3>;ver=1.1,</lwm2m/3/0>'
    device.register(links=links, query=["b=U", "Q", "sms=123", "x=y"])
    device.update("lt=4321")
    before = daemon.client(device.endpoint)
    crash(daemon)
    after = daemon.client(device.endpoint)
    before.pop("sleeping"), after.pop("sleeping")
    assert after == before
    assert device.update().text == "2.04"
    assert device.deregister().text == "2.02"
    crash(daemon)
    assert daemon.client(device.endpoint) is None
    assert device.update().text == "4.04"


def test_many_registrations_survive(device):
    daemon = device.daemon
    names = []
    for i in range(1000):
        device.endpoint = f"many-{i}"
        device.send(device.register_message())
        names.append(device.endpoint)
        if i % 50 == 49:
            for _ in range(50):
                assert device.receive().text == "2.01"
    crash(daemon)
    assert sorted(r["endpoint"] for r in daemon.get("/api/clients").json) == sorted(names)


def test_an_observation_goes_on_without_the_device_being_asked(device):
    daemon = device.daemon
    device.register()
    request = observe(daemon, device)
    crash(daemon)
    device.silence(0.2)
    with daemon.events() as events:
        sent = device.notify(request, 2, b"22.5")
        assert device.expect(lambda m: m.mid == sent.mid).type == ACK
        assert events.wait("NOTIFICATION").data["val"]["value"] == "22.5"
    # And can still be cancelled.
    cancel = daemon.start_http("DELETE", f"/api/clients/{device.endpoint}/3303/0/5700/observe?active")
    asked = device.serve_one("2.05", b"22.5", TEXT)
    assert asked.number(OBSERVE) == 1 and asked.token == request.token
    assert cancel.result().status == 200


def test_an_observation_is_issued_again_when_the_device_registers_after_the_crash(device):
    daemon = device.daemon
    device.register()
    observe(daemon, device)
    crash(daemon)
    device.register()
    again = device.serve_one("2.05", b"23", TEXT, [(OBSERVE, b"\x01")])
    assert (again.number(OBSERVE), again.path) == (0, "/3303/0/5700")


def test_a_cancelled_observation_stays_cancelled(device):
    daemon = device.daemon
    device.register()
    request = observe(daemon, device)
    assert daemon.http("DELETE", f"/api/clients/{device.endpoint}/3303/0/5700/observe").status == 200
    crash(daemon)
    sent = device.notify(request, 2, b"22.5")
    assert device.expect(lambda m: m.mid == sent.mid).type == RST


def test_a_retransmitted_update_is_answered_the_same_and_done_once(device):
    daemon = device.daemon
    device.register()
    with daemon.events() as events:
        device.update("lt=100")
        start = events.wait("UPDATED").id
    m = device.update_message(["lt=200"])
    first = device.exchange(m)
    crash(daemon)
    again = device.exchange(m)
    assert (again.code, again.token, again.payload) == (first.code, first.token, first.payload)
    device.update("lt=300")
    with daemon.events(last_id=start) as events:
        events.wait(lambda e: e.data["update"]["lifetime"] == 300)
        assert [e.data["update"]["lifetime"] for e in events.seen] == [200, 300]


def test_a_retransmitted_register_keeps_its_location_across_the_crash(device):
    daemon = device.daemon
    m = device.register_message()
    first = device.exchange(m)
    crash(daemon)
    again = device.exchange(m)
    assert (again.text, again.location) == ("2.01", first.location)
    device.location = first.location
    assert device.update().text == "2.04"


def test_a_retransmitted_deregister_is_harmless(device):
    daemon = device.daemon
    device.register()
    with daemon.events() as events:
        device.update("lt=100")
        start = events.wait("UPDATED").id
    m = device.request(coap_peer.DELETE, device.location)
    assert device.exchange(m).text == "2.02"
    crash(daemon)
    # Either answer tells the device that it is gone.
    assert device.exchange(m).text in ("2.02", "4.04")
    assert daemon.client(device.endpoint) is None
    with daemon.events(last_id=start) as events:
        device.update()
        events.wait("DEREGISTRATION")
        assert len(events.seen) == 1


def test_a_device_that_left_before_the_crash_can_come_back(device):
    daemon = device.daemon
    device.register()
    assert device.deregister().text == "2.02"
    crash(daemon)
    # At the first attempt or, as what is remembered of it has to be found first, at its retransmission.
    m = device.send(device.register_message())
    answer = device.receive(1) or device.exchange(m)
    assert answer.text == "2.01"
    assert daemon.client(device.endpoint)["registrationId"] == answer.location.removeprefix("/rd/")


def test_a_retransmitted_notification_is_acknowledged_and_told_once(device):
    daemon = device.daemon
    device.register()
    request = observe(daemon, device)
    with daemon.events() as events:
        device.update("lt=100")
        start = events.wait("UPDATED").id
    sent = device.notify(request, 2, b"22.5")
    assert device.expect(lambda m: m.mid == sent.mid).type == ACK
    crash(daemon)
    device.send(sent)
    assert device.expect(lambda m: m.mid == sent.mid).type == ACK
    device.notify(request, 3, b"23.5")
    with daemon.events(last_id=start) as events:
        events.wait(lambda e: e.name == "NOTIFICATION" and e.data["val"]["value"] == "23.5")
        assert [e.data["val"]["value"] for e in events.seen if e.name == "NOTIFICATION"] == ["22.5", "23.5"]


def test_message_ids_after_the_crash_are_not_those_before(device):
    """Else the device would take our next request for a retransmission of an old one."""
    daemon = device.daemon
    device.register()

    def mids():
        found = set()
        for _ in range(20):
            call = daemon.start_http("GET", f"/api/clients/{device.endpoint}/3/0/0?format=TEXT")
            found.add(device.serve_one("2.05", b"x", TEXT).mid)
            call.result()
        return found

    lives = []
    for _ in range(3):
        lives.append(mids())
        crash(daemon)
    assert len(set.union(*lives)) == 3 * 20


def test_a_lifetime_runs_on_while_the_server_is_down(start):
    daemon = start("--lwm2m-lifetime-grace", "0s")
    with Device(daemon.coap_port) as d, Device(daemon.coap_port) as other:
        d.register(lt=2)
        other.register(lt=300)
        crash(daemon)
        with daemon.events() as events:
            gone = events.wait("DEREGISTRATION", 60)
            assert gone.data["endpoint"] == d.endpoint
        assert daemon.client(other.endpoint)


def test_an_orderly_stop_ends_with_0_and_keeps_everything(start):
    daemon = start()
    with Device(daemon.coap_port) as d:
        d.register()
        with daemon.events() as events:
            # It does not wait for readers of events, nor for silent devices.
            read = daemon.start_http("GET", f"/api/clients/{d.endpoint}/3/0/0?timeout=60")
            d.acknowledge(d.next_request())
            assert daemon.stop(10) == 0
            events.wait_end()
            assert events.seen[-1].name == "RESUME"
            assert read.result(10).status == 503
        daemon.start()
        assert daemon.client(d.endpoint)["registrationId"] == d.location.removeprefix("/rd/")


def test_a_second_crash_at_once_loses_nothing_either(device):
    daemon = device.daemon
    device.register()
    for i in range(5):
        device.update(f"lt={500 + i}")
        crash(daemon)
        assert daemon.client(device.endpoint)["lifetime"] == 500 + i
