# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Sessions with connection ids (RFC 9146), by a client that shares no code with the server."""

import time

import pytest

import coap_peer
import dtls_client
import shoal
from coap_peer import TEXT
from dtls_client import APPLICATION, HANDSHAKE, TLS12_CID
from secure_device import SecureDevice, credential, join

HOSTS = ["127.0.0.1", "::1"]
CIDS = [pytest.param(None, id="not offered"), pytest.param(b"", id="empty"), pytest.param(b"\x07", id="1 byte"),
        pytest.param(b"clientid", id="8 bytes"), pytest.param(bytes(range(32)), id="32 bytes")]


def read(daemon, device, value=b"shoal", path="/3/0/0", timeout=5.0):
    """A read through REST which the device answers."""
    end = time.monotonic() + timeout
    while True:
        future, request = daemon.start_http("GET", f"/api/clients/{device.endpoint}{path}"), None
        while request is None and not future.done():
            assert time.monotonic() < end, "no request came"
            message = device.receive(0.1)
            request = message if message and message.code in range(1, 32) else None
        if request:
            break
        # A new session serves as soon as it is stored, which is a moment after its handshake.
        assert "session" in future.result().text.lower() and time.monotonic() < end, future.result()
    device.answer(request, "2.05", value, format=TEXT)
    assert request.path == path
    answer = future.result(10)
    assert answer.status == 200 and answer.json["content"]["value"] == value.decode(), answer
    return request


def address(daemon, device):
    return daemon.client(device.endpoint)["address"]


def at(device, port=None, host="127.0.0.1"):
    return f"[{host}]:{port or device.port}" if ":" in host else f"{host}:{port or device.port}"


def failures(daemon, name):
    return [(f["cause"], f["count"]) for f in daemon.get("/api/failures").json if f.get("name") == name]


@pytest.fixture(scope="module")
def closing():
    """Sockets of devices, closed at the end: no other test shall get their ports."""
    devices = []
    yield lambda device: devices.append(device) or device
    for device in devices:
        device.close()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("cid", CIDS)
def test_a_device_registers_updates_and_is_read(daemon, closing, cid, host):
    device = closing(join(daemon, cid=cid, host=host))
    session = device.secure
    assert session.retransmissions == 0 and session.extended
    assert len(session.peer_cid) == (0 if cid is None else 8)
    assert session.own_cid == (cid or b"")
    assert device.update("lt=600").text == "2.04"
    seen = daemon.client(device.endpoint)
    assert (seen["secure"], seen["lifetime"], seen["address"]) == (True, 600, at(device, host=host))
    read(daemon, device)
    assert device.deregister().text == "2.02"
    assert daemon.client(device.endpoint) is None
    assert session.unauthentic == 0 and session.alerts == []
    assert session.numbers == [0, 1, 2, 3, 4]


def test_a_client_without_extended_master_secret_is_served_or_told(daemon, closing):
    endpoint = credential(daemon, coap_peer.unique("secure"))
    device = closing(SecureDevice(daemon.dtls_port, endpoint, extended_master_secret=False))
    assert not device.secure.extended
    device.register()


def test_padding_of_a_record_is_taken_off(daemon, closing):
    device = closing(join(daemon))
    update = device.update_message(["lt=400"], mid=device.next_mid())
    device.secure.send_raw(device.secure.protect(APPLICATION, update.encode(), padding=100))
    assert device.expect(lambda m: m.mid == update.mid).text == "2.04"
    assert daemon.client(device.endpoint)["lifetime"] == 400


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("cid", [b"", b"clientid"])
def test_the_session_follows_its_device_to_another_port(daemon, closing, host, cid):
    device = closing(join(daemon, host=host, cid=cid))
    old, session = device.port, device.secure
    assert address(daemon, device) == at(device, old, host)
    early = session.protect(APPLICATION, device.update_message(["lt=888"], mid=device.next_mid()).encode())
    new = session.rebind()
    assert device.update("lt=500").text == "2.04"
    assert address(daemon, device) == at(device, new, host)
    read(daemon, device)

    # A copy of a record that was seen, and one that is late: neither moves the session.
    third = session.rebind()
    session.sockets.append(session.sockets.pop(-2))
    assert device.port == new != third
    replayed = session.sent[-2]
    session.send_raw(replayed, from_port=third)
    read(daemon, device)
    session.send_raw(early, from_port=third)
    read(daemon, device)
    assert address(daemon, device) == at(device, new, host)
    answers = [m for m in iter(lambda: device.receive(0.2), None)]
    assert session.unauthentic == 0 and len(answers) <= 1

    # And at the first newer one it moves again.
    session.sockets.append(session.sockets.pop(-2))
    assert device.port == third
    assert device.update("lt=300").text == "2.04"
    read(daemon, device)
    assert address(daemon, device) == at(device, third, host)
    assert session.handshakes == 1


def test_without_connection_id_another_port_needs_a_handshake(daemon, closing):
    device = closing(join(daemon, cid=None))
    old = device.port
    device.secure.rebind()
    update = device.update_message(["lt=777"])
    device.send(update)
    device.silence()
    seen = daemon.client(device.endpoint)
    assert (seen["address"], seen["lifetime"]) == (at(device, old), 300)
    device.connect()
    assert device.update().text == "2.04"
    assert address(daemon, device) == at(device)


LOSSES = {
    "first hello": dict(out=dtls_client.has_record(HANDSHAKE, 0)),
    "cookie": dict(into=dtls_client.has_record(HANDSHAKE, 0)),
    "both hellos and their answers": dict(out=dtls_client.has_record(HANDSHAKE, 0),
                                          into=dtls_client.has_record(HANDSHAKE, 0), times=2),
    "flight with Finished": dict(out=dtls_client.has_record(TLS12_CID)),
    "last flight": dict(into=dtls_client.has_record(dtls_client.CCS)),
    "last flight, twice": dict(into=dtls_client.has_record(dtls_client.CCS), times=2),
}


@pytest.mark.parametrize("lost", LOSSES)
def test_lost_flights_are_sent_again(daemon, closing, lost):
    device = closing(join(daemon, cid=b"me", faults=dtls_client.Lossy(**LOSSES[lost]), interval=0.15))
    assert 1 <= len(device.secure.faults.held) <= 4
    assert device.secure.retransmissions >= 1
    read(daemon, device)
    # What was held comes late.
    for datagram in device.secure.faults.held:
        device.secure.send_raw(datagram)
    read(daemon, device)
    assert device.secure.alerts == []


def test_only_the_finished_is_lost_and_comes_again(daemon, closing):
    """In datagrams of their own: the messages before it arrive twice."""
    lossy = dtls_client.Lossy(out=lambda d: d[0] == TLS12_CID, times=2)
    device = closing(join(daemon, fragment=200, faults=lossy, interval=0.15))
    assert len(lossy.held) == 2 and device.secure.retransmissions >= 2
    read(daemon, device)


@pytest.mark.parametrize("host", HOSTS)
def test_all_handshakes_in_shuffled_fragments_with_losses_complete(daemon, closing, say, host):
    began, again, lost = time.monotonic(), 0, 0
    for seed in range(10):
        faults = dtls_client.Faults(seed, lose=0.1, duplicate=0.2, shuffle=True)
        identity = f"{host}-{seed:-<100}"
        endpoint = credential(daemon, coap_peer.unique("fragments"), identity)
        device = closing(SecureDevice(daemon.dtls_port, endpoint, identity, host=host, cid=b"me", fragment=40,
                                      faults=faults, interval=0.1))
        device.secure.faults = dtls_client.Faults()
        device.register()
        again += device.secure.retransmissions
        lost += faults.lost
    say(f"{again} retransmissions, {lost} datagrams lost, {time.monotonic() - began:.1f} s")


def hostile_records(device):
    """(name, datagram): none may have an effect, though all carry an Update that would be seen."""
    session = device.secure

    def sealed(**more):
        return session.protect(APPLICATION, device.update_message(["lt=999"], mid=device.next_mid()).encode(), **more)

    good = sealed()
    yield "epoch 0", sealed(epoch=0)
    yield "epoch 2", sealed(epoch=2)
    yield "epoch 65535", sealed(epoch=65535)
    yield "an id of nobody", sealed(cid=bytes([session.peer_cid[0]]) + bytes(7))
    yield "another length of id", sealed(cid=session.peer_cid[:4])
    yield "no id", sealed(cid=b"")
    yield "number too old", sealed(seq=0)
    yield "plain text", bytes([APPLICATION]) + good[1:3] + bytes(8) + good[-20:]
    yield "nothing but zeroes inside", zeroes_inside(session)
    for cut in [*range(1, 30), len(good) // 2, len(good) - 9, len(good) - 8, len(good) - 1]:
        yield f"cut to {cut}", good[:cut]
    shorter = int.from_bytes(good[19:21], "big") - 1
    yield "shorter length", good[:19] + shorter.to_bytes(2, "big") + good[21:]
    for index in range(len(good)):
        yield f"bit of byte {index}", good[:index] + bytes([good[index] ^ 1 << index % 8]) + good[index + 1:]


def zeroes_inside(session):
    number = dtls_client.number_of(1, session.next_seq(1))
    keys, cid = session.write_keys, session.peer_cid
    text = keys.aead.encrypt(keys.iv + number, bytes(20), keys.additional(TLS12_CID, number, cid, 20))
    return bytes([TLS12_CID]) + dtls_client.DTLS_1_2 + number + cid + dtls_client.vector(2, number + text)


@pytest.mark.parametrize("cid", [b"", b"clientid"])
def test_hostile_records_change_nothing(daemon, closing, say, cid):
    device = closing(join(daemon, cid=cid))
    session = device.secure
    home = device.port
    for _ in range(70):  # the window is 64 records long, and number 0 is to be behind it
        session.next_seq(1)
    assert device.update().text == "2.04"
    before, counted = daemon.client(device.endpoint), daemon.metrics()
    away = session.rebind()
    names = []
    for name, datagram in hostile_records(device):
        session.send_raw(datagram, from_port=home)
        session.send_raw(datagram, from_port=away)
        names.append(name)
    for datagram in session.sent:  # and all that it ever said, again, from elsewhere
        if datagram[0] == TLS12_CID:
            session.send_raw(datagram, from_port=away)
    assert len(names) > 90
    assert device.receive(0.3) is None, "something was answered to another address"
    grown = {k: v - counted[k] for k, v in daemon.metrics().items() if k.startswith("shoal_dtls_") and v != counted[k]}
    say(grown)
    assert grown.keys() <= {f"shoal_dtls_records_{kind}_total" for kind in
                            ("malformed", "unknown", "foreign", "replayed", "forged")}, grown
    assert sum(grown.values()) >= 2 * len(names) and grown["shoal_dtls_records_forged_total"] >= 100
    session.sockets.append(session.sockets.pop(-2))
    assert device.receive(0.2) is None
    read(daemon, device)
    assert daemon.client(device.endpoint) == before
    assert device.update("lt=301").text == "2.04"
    assert session.alerts == [] and session.unauthentic == 0


def test_garbage_at_the_port_is_not_answered(daemon, closing):
    device = closing(join(daemon))
    hello = device.secure.hello_datagram()
    with coap_peer.Peer(daemon.dtls_port) as stranger:
        for datagram in [b"", b"\0", bytes(1200), b"\xff" * 1200, hello[:40], hello[:13], b"\x16" + bytes(60),
                         hello[:11] + b"\xff\xff" + hello[13:], b"\x19\xfe\xfd" + bytes(80),
                         b"\x40\x01\0\0", hello[:13] + b"\2" + hello[14:]]:
            stranger.send(datagram)
        stranger.silence()
    read(daemon, device)


def test_renegotiation_is_refused(daemon, closing):
    device = closing(join(daemon, cid=b"me"))
    session = device.secure
    hello = session.whole(dtls_client.CLIENT_HELLO, 4, session.hello())
    session.send_datagrams([session.protect(HANDSHAKE, hello)])
    assert session.wait_alert() == (dtls_client.WARNING, dtls_client.NO_RENEGOTIATION)
    assert device.update().text == "2.04"
    assert session.handshakes == 1


def test_close_notify_ends_the_session_and_keeps_the_registration(daemon, closing):
    device = closing(join(daemon, cid=b"me"))
    registration = daemon.client(device.endpoint)["registrationId"]
    device.secure.send_alert(dtls_client.WARNING, dtls_client.CLOSE_NOTIFY)
    device.send(device.update_message(["lt=900"]))
    assert device.receive(0.3) is None
    began = time.monotonic()
    refused = daemon.get(f"/api/clients/{device.endpoint}/3/0/0")
    assert refused.status >= 400 and time.monotonic() - began < 2, refused
    assert "session" in refused.text.lower(), refused
    seen = daemon.client(device.endpoint)
    assert (seen["registrationId"], seen["lifetime"]) == (registration, 300)
    device.connect()
    read(daemon, device)
    assert device.update("lt=900").text == "2.04"
    assert daemon.client(device.endpoint)["registrationId"] == registration


def test_an_unauthentic_close_notify_is_ignored(daemon, closing):
    device = closing(join(daemon))
    for record in [b"\x15\xfe\xfd" + bytes(8) + b"\0\2\1\0", b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28"]:
        device.secure.send_raw(record)
    read(daemon, device)


def test_a_new_hello_at_the_address_of_a_session_leaves_it_alone(daemon, closing):
    """RFC 6347, 4.2.8: the old association goes when the new one is complete, not before."""
    device = closing(join(daemon, cid=None))
    session = device.secure
    with_cookie = dtls_client.Client(daemon.dtls_port, b"stranger", b"nothing")
    with_cookie.sockets.append(session.socket)
    hello = with_cookie.hello_datagram()
    with_cookie.send_raw(hello)
    answer = session.socket.recv(2048)
    with_cookie.send_raw(with_cookie.hello_datagram(with_cookie.cookie_of(answer), 1))
    assert session.socket.recv(2048)[13] == dtls_client.SERVER_HELLO
    with_cookie.sockets.pop()
    with_cookie.close()
    assert device.update().text == "2.04"
    read(daemon, device)


def test_identities_that_are_refused_are_told_apart(daemon, closing):
    endpoint = credential(daemon, coap_peer.unique("secure"))
    causes = {f"stranger-{endpoint}": ("unknown_identity", dtls_client.UNKNOWN_PSK_IDENTITY),
              f"id-{endpoint}": ("wrong_key", dtls_client.DECRYPT_ERROR)}
    for identity, (cause, alert) in causes.items():
        with daemon.events() as events, dtls_client.Client(daemon.dtls_port, identity, b"not the key") as client:
            with pytest.raises(dtls_client.Alert) as refused:
                client.handshake()
            assert refused.value.description == alert
            told = events.wait("AUTH_FAILURE").data
            assert (told["name"], told["cause"], told["address"]) == (identity, cause, f"127.0.0.1:{client.port}")
        assert failures(daemon, identity) == [(cause, 1)]
    # The one who knows the key is not kept out by them.
    closing(SecureDevice(daemon.dtls_port, endpoint)).register()


def test_a_credential_that_is_removed_takes_its_session_along(daemon, closing):
    device = closing(join(daemon, cid=b"me"))
    before = [daemon.client(device.endpoint) is not None, failures(daemon, device.identity)]
    assert before == [True, []]
    assert daemon.http("DELETE", f"/api/security/clients/{device.endpoint}").status in (200, 204)
    assert device.secure.wait_alert() == (dtls_client.WARNING, dtls_client.CLOSE_NOTIFY)
    device.send(device.update_message(["lt=900"]))
    assert device.receive(0.3) is None
    assert daemon.get(f"/api/clients/{device.endpoint}/3/0/0").status >= 400
    with pytest.raises(dtls_client.Alert) as refused:
        device.connect()
    assert refused.value.description == dtls_client.UNKNOWN_PSK_IDENTITY
    assert failures(daemon, device.identity) == [("unknown_identity", 1)]
    # Put back, it goes on.
    credential(daemon, device)
    device.connect()
    device.register()
    read(daemon, device)


def test_a_credential_that_is_removed_during_a_handshake_ends_it(daemon, closing):
    """The server has looked up the key already, and only the Finished is missing."""
    device = closing(join(daemon, cid=b"me"))
    removed = []

    def is_finished(datagram):
        if datagram[0] == TLS12_CID and not removed:
            time.sleep(0.1)  # what was sent before it arrives
            removed.append(daemon.http("DELETE", f"/api/security/clients/{device.endpoint}").status)
        return datagram[0] == TLS12_CID

    with pytest.raises((dtls_client.Alert, dtls_client.NoAnswer)):
        device.connect(fragment=200, faults=dtls_client.Lossy(out=is_finished), timeout=2)
        device.update("lt=900")
    assert removed == [200]
    assert daemon.client(device.endpoint)["lifetime"] == 300


def test_the_identity_says_who_registers(daemon, closing):
    endpoint = credential(daemon, coap_peer.unique("secure"))
    device = closing(SecureDevice(daemon.dtls_port, endpoint))
    register = device.request(coap_peer.POST, "/rd", ["lt=300", "lwm2m=1.1"], b"</3/0>",
                              options=[(coap_peer.CONTENT_FORMAT, coap_peer.uint(coap_peer.LINK))])
    answer = device.exchange(register)
    assert answer.text == "2.01", answer
    assert daemon.client(endpoint)["registrationId"] == answer.location.removeprefix("/rd/")
    read(daemon, device)


def test_nobody_registers_under_another_name(daemon, closing):
    victim = closing(join(daemon))
    thief = closing(SecureDevice(daemon.dtls_port, credential(daemon, coap_peer.unique("thief"))))
    own, thief.endpoint = thief.endpoint, victim.endpoint
    assert thief.exchange(thief.register_message()).text == "4.00"
    thief.location = victim.location
    assert thief.update("lt=900").text in ("4.00", "4.04")
    assert thief.deregister().text in ("4.00", "4.04")
    with coap_peer.Device(daemon.coap_port, victim.endpoint) as plain:
        assert plain.exchange(plain.register_message()).text == "4.00"
        plain.location = victim.location
        assert plain.update("lt=900").text in ("4.00", "4.04")
    seen = daemon.client(victim.endpoint)
    assert (seen["lifetime"], seen["address"]) == (300, at(victim))
    thief.endpoint = own
    thief.register()
    read(daemon, victim)


def test_sessions_survive_restarts_without_a_handshake(start, say):
    """SIGTERM and SIGKILL in turn. No number of the server's comes twice: the client would fail."""
    daemon = start()
    devices = [join(daemon, cid=cid) for cid in (None, b"", b"\x07", bytes(32))]
    devices.append(join(daemon, cid=b"", host="::1"))
    registrations = [daemon.client(d.endpoint)["registrationId"] for d in devices]
    stale = [d.secure.protect(APPLICATION, d.update_message(["lt=888"], mid=d.next_mid()).encode()) for d in devices]
    for d, record in zip(devices, stale):
        d.secure.send_raw(record)
        assert d.receive().text == "2.04"
        assert d.update("lt=300").text == "2.04"
    for round in range(5):
        assert (daemon.kill if round % 2 else daemon.stop)() is not None
        daemon.start()
        for d, record in zip(devices, stale):
            d.secure.send_raw(record)  # from before the restart: it must be known as old
            # The server speaks first.
            read(daemon, d, f"round {round}".encode())
            if d.secure.own_cid and round == 2:
                d.secure.rebind()
            assert d.update().text == "2.04"
            assert daemon.client(d.endpoint)["address"] == at(d, host=d.host)
        metrics = daemon.metrics()
        assert [metrics[f"shoal_dtls_{name}_total"] for name in ("handshakes", "hellos", "records_replayed")] == [
            0, 0, len(devices)]
    for d, registration in zip(devices, registrations):
        session = d.secure
        assert session.handshakes == 1 and session.unauthentic == 0 and session.alerts == []
        assert session.terms == sorted(session.terms) and len(session.terms) == 6, session.terms
        assert len(session.numbers) == len(set(session.numbers)) >= 14
        seen = daemon.client(d.endpoint)
        assert (seen["registrationId"], seen["lifetime"]) == (registration, 300)
        d.close()
    say(f"terms {devices[0].secure.terms}")


def test_a_session_that_was_closed_is_not_back_after_a_restart(start):
    daemon = start()
    with join(daemon, cid=b"") as device:
        device.secure.send_alert(dtls_client.WARNING, dtls_client.CLOSE_NOTIFY)
        assert device.secure.wait_alert() == (dtls_client.WARNING, dtls_client.CLOSE_NOTIFY)
        shoal.wait_until(lambda: daemon.get(f"/api/clients/{device.endpoint}/3/0/0").status >= 400)
        time.sleep(0.3)  # nobody is told when that is stored
        daemon.kill()
        daemon.start()
        device.send(device.update_message(["lt=900"]))
        assert device.receive(0.3) is None


@pytest.mark.parametrize("cut", ["the credential", "its key"])
def test_a_session_whose_credential_went_is_not_back_after_a_crash(start, cut):
    """At the very moment at which the removal, or another key, was acknowledged."""
    daemon = start()
    with join(daemon, cid=b"") as device:
        if cut == "its key":
            credential(daemon, device.endpoint, device.identity, b"another key")
        else:
            assert daemon.http("DELETE", f"/api/security/clients/{device.endpoint}").status in (200, 204)
        daemon.kill()
        daemon.start()
        device.send(device.update_message(["lt=900"]))
        assert device.receive(0.3) is None


def test_a_request_to_a_sleeping_device_waits_for_its_new_session(daemon, closing):
    endpoint = credential(daemon, coap_peer.unique("sleepy"))
    device = closing(SecureDevice(daemon.dtls_port, endpoint, cid=b""))
    device.register(query=["b=U", "Q"])
    assert daemon.client(endpoint)["queuemode"]
    device.secure.send_alert(dtls_client.WARNING, dtls_client.CLOSE_NOTIFY)
    device.send(device.update_message())
    assert device.receive(0.3) is None
    answer = daemon.get(f"/api/clients/{endpoint}/3/0/0").json
    assert answer["delayed"], answer
    device.connect()
    device.serve_one("2.05", b"awake", TEXT)

    def request():
        return daemon.get(f"/api/requests/{answer['requestId']}").json

    shoal.wait_until(lambda: request()["state"] == "answered", what="the answer")
    assert request()["response"]["content"]["value"] == "awake"
