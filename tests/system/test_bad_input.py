# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Any datagram: an answer where RFC 7252 says so, silence where it says so, never a crash or a leak.

With SHOAL_SANITIZED naming a build with sanitizers, all of it runs against that one too: a finding ends the
daemon, a leak gives its orderly end another exit code than 0.
"""

import contextlib
import os
import pathlib
import random
import socket

import pytest

import coap_peer
import shoal
from coap_peer import ACK, CON, NON, RST, Device, Message, Peer

BUILDS = ["plain", "sanitized"]


@pytest.fixture(scope="module", params=BUILDS)
def target(request):
    build = None
    if request.param == "sanitized":
        if not os.environ.get("SHOAL_SANITIZED"):
            pytest.skip("SHOAL_SANITIZED names no build")
        build = pathlib.Path(os.environ["SHOAL_SANITIZED"]).resolve()
    with shoal.temp_dir() as path, shoal.Daemon(path, "--lwm2m-devices-max", "500", build=build) as running:
        running.sanitized = build is not None
        yield running
        assert running.alive, running.log[-8000:]
        assert running.stop() == 0, running.log[-8000:]


@pytest.fixture
def peer(target):
    with Peer(target.coap_port) as p:
        yield p


def ping(peer, timeout=5.0):
    return peer.exchange(Message(CON, 0), timeout)


def test_a_ping_is_answered_with_a_reset(peer):
    answer = ping(peer)
    assert (answer.type, answer.code, answer.token, answer.options, answer.payload) == (RST, 0, b"", [], b"")


MID = b"\x12\x34"

# What is no CoAP message, as a confirmable one and as a non-confirmable one: name, type-free first byte, rest.
MALFORMED = {
    "token length 9": (0x09, b"\x02" + MID + bytes(9)),
    "token length 15": (0x0F, b"\x02" + MID + bytes(15)),
    "token cut off": (0x08, b"\x02" + MID + bytes(3)),
    "payload marker without payload": (0x00, b"\x02" + MID + b"\xff"),
    "option delta 15": (0x00, b"\x02" + MID + b"\xf1a"),
    "option length 15": (0x00, b"\x02" + MID + b"\xbfabcdefghijklmnop"),
    "option cut off": (0x00, b"\x02" + MID + b"\xb5rd"),
    "extended delta cut off": (0x00, b"\x02" + MID + b"\xd0"),
    "extended length cut off": (0x00, b"\x02" + MID + b"\xbe\x01"),
    "option number above 65535": (0x00, b"\x02" + MID + b"\xe0\xff\xff\xe0\xff\xff"),
    "reserved class 1": (0x00, b"\x21" + MID),
    "reserved class 6": (0x00, b"\xc1" + MID),
    "reserved class 7": (0x00, b"\xe1" + MID),
    "empty code with token": (0x01, b"\x00" + MID + b"t"),
    "empty code with payload": (0x00, b"\x00" + MID + b"\xffx"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_confirmable_message_that_cannot_be_read_is_reset(peer, name):
    first, rest = MALFORMED[name]
    peer.send(bytes([0x40 | first]) + rest)
    answer = peer.receive()
    assert answer is not None and (answer.type, answer.code, answer.mid) == (RST, 0, 0x1234)


@pytest.mark.parametrize("kind", [NON, ACK, RST])
@pytest.mark.parametrize("name", MALFORMED)
def test_any_other_message_that_cannot_be_read_is_ignored(peer, name, kind):
    first, rest = MALFORMED[name]
    peer.send(bytes([0x40 | kind << 4 | first]) + rest)
    assert ping(peer).type == RST


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\x01", b"\x40\x01\x12", b"\x00\x01\x12\x34", b"\x80\x01\x12\x34",
                                  b"\xc0\x01\x12\x34", b"\x16\xfe\xfd" + bytes(60), b"GET / HTTP/1.1\r\n\r\n",
                                  b"\x60\x01\x12\x34", b"\x70\x45\x12\x34"],
                         ids=["nothing", "1 byte", "2 bytes", "3 bytes", "version 0", "version 2", "version 3",
                              "a DTLS record", "HTTP", "a request in an ACK", "a response in a RST"])
def test_what_is_no_coap_message_of_ours_is_met_with_silence(peer, data):
    peer.send(data)
    answer = ping(peer)
    assert answer.type == RST
    peer.silence(0.05)


def test_an_empty_acknowledgement_of_nothing_is_met_with_silence(peer):
    peer.send(Message(ACK, 0))
    peer.send(Message(RST, 0))
    ping(peer)
    peer.silence(0.05)


def test_a_confirmable_response_to_nothing_is_reset(peer):
    m = peer.send(Message(CON, coap_peer.code("2.05"), token=b"nothing", payload=b"x"))
    answer = peer.expect(lambda r: r.mid == m.mid)
    assert (answer.type, answer.code) == (RST, 0)


@pytest.mark.parametrize("size", [1281, 2047, 2048, 2049, 4000, 65000])
def test_a_datagram_of_any_size_is_no_danger(target, size):
    with Device(target.coap_port) as d:
        m = d.register_message(links=b"</3/0>" + b",</3303/1>" * (size // 10), mid=d.next_mid())
        d.send(m.encode()[:size])
        ping(d)
        d.drain()
        d.register()


def test_an_overlong_register_is_not_taken_for_a_shorter_one(target):
    with Device(target.coap_port) as d:
        links = b"</3/0>" + b"".join(b",</3303/%d>" % i for i in range(600))
        m = d.send(d.register_message(links=links))
        answer = d.receive(0.5)
        # Silence is right as well: what was cut off by the socket cannot be answered for sure.
        if answer is not None and answer.text != "2.01":
            assert answer.mid == m.mid and answer.text in ("4.13", "4.00") or answer.type == RST
        registration = target.client(d.endpoint)
        assert registration is None or len(registration["objectLinks"]) == 601


def mutate(chooser, data):
    """A few random faults, as a bad network or a bad peer makes them."""
    data = bytearray(data)
    for _ in range(chooser.randrange(1, 5)):
        kind = chooser.randrange(6)
        at = chooser.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << chooser.randrange(8)
        elif kind == 1 and data:
            data[at] = chooser.choice((0, 0xFF, 0x7F, 0x80, 0xD0, 0xE0, 0xF0, chooser.randrange(256)))
        elif kind == 2:
            del data[at:at + chooser.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = chooser.randbytes(chooser.randrange(1, 9))
        elif kind == 4:
            del data[at:]
        else:
            data += data[at:at + 64]
    return bytes(data)


def seeds(peer, location):
    """Messages as devices send them: where mutation begins."""
    d = Device(peer.server[1], endpoint="fuzz")
    d.close()
    mid = 0x5555
    messages = [
        d.register_message(mid=mid),
        d.register_message(links=b'</lwm2m>;rt="oma.lwm2m";ct="60 110 112",</lwm2m/3/0>;ver=1.1', mid=mid),
        d.register_message(query=["b=UQ", "sms=123", "x=y", "Q"], mid=mid),
        d.request(coap_peer.POST, location, ["lt=60"], mid=mid),
        d.request(coap_peer.POST, location, [], b"</1/0>,</3/0>", mid=mid),
        d.request(coap_peer.DELETE, "/rd/abcdefghij", mid=mid),
        Message(CON, coap_peer.code("2.05"), mid, b"12345678", [(6, b"\x05"), (12, b"")], b"21.5"),
        Message(NON, coap_peer.code("2.05"), mid, b"12345678", [(6, b"\x05"), (12, b"\x2d\x16")], b"\xc1\x00\x01"),
        Message(ACK, 0, mid), Message(RST, 0, mid), Message(CON, 0, mid),
    ]
    return [m.encode() for m in messages]


def keep_pace(peer):
    """Waits until the server has read what was sent before; a ping may be lost to a full socket buffer."""
    for _ in range(10):
        m = peer.send(Message(CON, 0))
        while answer := peer.receive(1):
            if answer.mid == m.mid:
                return
    raise AssertionError("the server no longer answers pings")


def test_100_000_random_and_mutated_datagrams_leave_it_healthy(target, say):
    seed = random.SystemRandom().randrange(1 << 32)
    say(f"seed {seed}")
    chooser = random.Random(seed)
    with Device(target.coap_port) as d, Peer(target.coap_port) as noise:
        d.register()
        messages = seeds(noise, d.location)
        before, read = None, target.metrics()["shoal_udp_received_total"]
        for i in range(100_000):
            data = mutate(chooser, chooser.choice(messages)) if i % 4 else chooser.randbytes(chooser.randrange(80))
            noise.send(data)
            if i % 200 == 199:
                # Keeps pace with the server, so that it reads all of it.
                keep_pace(d)
                while noise.receive(0):
                    pass
            if i == 20_000:
                before = target.rss()
        growth = target.rss() - before
        # None was lost to a full socket buffer, or few.
        assert target.metrics()["shoal_udp_received_total"] - read > 99_000
        assert target.alive, target.log[-8000:]
        # Sanitizers keep freed memory for a while; leaks show there at the end.
        if not target.sanitized:
            assert growth < 32 << 20, f"{growth} bytes more after 80,000 datagrams"
        assert target.get("/healthz").status == 200
        with Device(target.coap_port, endpoint=d.endpoint) as again:
            again.register()
            read = target.start_http("GET", f"/api/clients/{d.endpoint}/3/0/0")
            again.serve_one("2.05", b"alive", coap_peer.TEXT)
            assert read.result().json["content"]["value"] == "alive"


# ---- HTTP ----

def http_answer(port, data, timeout=0.3):
    """All that comes back for these bytes until the server closes, or says no more for `timeout` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        out = b""
        with contextlib.suppress(OSError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                out += more
        return out


HEAD = b"Host: localhost\r\n"
BAD_HTTP = {
    "nothing": b"",
    "a line of garbage": b"\x00\xff\xfe\r\n\r\n",
    "no request line": b"\r\n\r\n",
    "no version": b"GET /api/clients\r\n\r\n",
    "a version of the future": b"GET /api/clients HTTP/9.9\r\n" + HEAD + b"\r\n",
    "no host": b"GET /api/clients HTTP/1.1\r\n\r\n",
    "an endless target": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "endless headers": b"GET / HTTP/1.1\r\n" + HEAD + b"X: y\r\n" * 100_000 + b"\r\n",
    "an endless header": b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "a length that is no number": b"PUT /api/clients/x/3/0/14 HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n",
    "a negative length": b"PUT /api/clients/x/3/0/14 HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
    "a huge length": b"PUT /api/clients/x/3/0/14 HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a chunk that is none": b"PUT /api/clients/x/3/0/14 HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad percent-encoding": b"GET /api/clients/%zz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an encoded nothing": b"GET /api/clients/%00/3 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many segments": b"GET /api/clients" + b"/1" * 5000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many parameters": b"GET /api/clients/x/3?" + b"a=b&" * 5000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an unknown method": b"BREW /api/clients HTTP/1.1\r\n" + HEAD + b"\r\n",
}


@pytest.mark.parametrize("name", BAD_HTTP)
def test_any_http_request_is_refused_or_cut_off(target, name):
    answer = http_answer(target.http_port, BAD_HTTP[name])
    assert not answer or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert target.get("/healthz").status == 200


def test_half_a_request_holds_up_nobody(target):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            s = stack.enter_context(socket.create_connection(("127.0.0.1", target.http_port)))
            s.sendall(b"PUT /api/clients/x/3/0/14 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        assert target.get("/healthz", timeout=5).status == 200
        assert target.get("/api/clients", timeout=5).status == 200
