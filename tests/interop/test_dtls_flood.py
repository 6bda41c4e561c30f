# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""A flood of hellos from addresses that nobody has, and then from some that answer, while sessions keep working."""

import contextlib
import json
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import coap_peer
import dtls_client
import secure_device
import shoal

DEVICES, SECONDS, HANDSHAKES_MAX = 50, 2.0, 256
SOURCES = 400  # each in a network of its own, as the limits go by /24 and /56
IPV6_FREEBIND = 78  # linux/in6.h
ANY6 = "fd5a:6f61"  # all of this /32 is this machine while a test runs


@contextlib.contextmanager
def many_addresses(family):
    """127.0.0.0/8 is this machine's as it is; for IPv6 that takes a route, and the privilege to set it."""
    route = ["ip", "-6", "route"], ["local", f"{ANY6}::/32", "dev", "lo"]
    if family == socket.AF_INET:
        yield
        return
    if subprocess.run([*route[0], "add", *route[1]], capture_output=True).returncode:
        pytest.skip("a route to many IPv6 addresses cannot be set here")
    try:
        yield
    finally:
        subprocess.run([*route[0], "del", *route[1]], check=True)


class Flood(threading.Thread):
    """Sends ClientHellos from many addresses until it is stopped; with `answering`, also with the cookies it gets."""

    def __init__(self, port, answering, family=socket.AF_INET):
        super().__init__(daemon=True)
        self.answering, self.server = answering, ("127.0.0.1" if family == socket.AF_INET else "::1", port)
        self.stopped = threading.Event()
        self.sent = self.cookies = self.bytes_out = self.bytes_in = 0
        self.sockets = []
        for i in range(SOURCES):
            s = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET:
                s.bind((f"127.{1 + i % 200}.{1 + i // 200}.7", 0))
            else:
                s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                s.bind((f"{ANY6}:{i >> 8:x}:{i % 256:x}00::7", 0))
            s.setblocking(False)
            self.sockets.append(s)
        # Never used to receive: its hellos are those of all sources.
        self.client = dtls_client.Client(port, b"flood", b"flood")

    def run(self):
        while not self.stopped.is_set():
            for s in self.sockets:
                hello = self.client.hello_datagram()
                with contextlib.suppress(OSError):
                    s.sendto(hello, self.server)
                    self.sent, self.bytes_out = self.sent + 1, self.bytes_out + len(hello)
            for s in select.select(self.sockets, [], [], 0.005)[0]:
                with contextlib.suppress(OSError):
                    self.take(s, s.recv(2048))

    def take(self, s, datagram):
        self.bytes_in += len(datagram)
        if self.answering and datagram[13] == dtls_client.HELLO_VERIFY_REQUEST:
            s.sendto(self.client.hello_datagram(self.client.cookie_of(datagram), 1), self.server)
            self.cookies += 1

    def stop(self):
        self.stopped.set()
        self.join(10)
        for s in self.sockets:
            s.close()
        self.client.close()


class Fleet:
    """Devices which each have one Update under way at any time, sent again after a second as CoAP wants it."""

    def __init__(self, devices):
        self.devices = {d.socket: d for d in devices}
        self.waiting = {}
        self.sent = self.answered = self.repeated = 0

    def begin(self, device):
        message = device.update_message(mid=device.next_mid())
        self.waiting[device] = [message, time.monotonic()]
        device.send(message)
        self.sent += 1

    def turn(self, more):
        """Takes answers for a moment; begins the next Update of those that have theirs, if `more`."""
        for s in select.select(list(self.devices), [], [], 0.05)[0]:
            device = self.devices[s]
            answer = device.receive(0)
            if answer and device in self.waiting and answer.mid == self.waiting[device][0].mid:
                assert answer.text == "2.04", answer
                self.answered += 1
                del self.waiting[device]
        for device in self.devices.values():
            if more and device not in self.waiting:
                self.begin(device)
            elif device in self.waiting and time.monotonic() > self.waiting[device][1] + 1:
                self.waiting[device][1] = time.monotonic()
                self.repeated += 1
                device.send(self.waiting[device][0])

    def work(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(True)
        while self.waiting and time.monotonic() < end + 4:
            self.turn(False)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("answering", [False, True], ids=["without cookies", "with cookies"])
def test_sessions_work_through_a_flood_of_hellos(start, say, answering, family):
    with many_addresses(family):
        sessions_work_through_a_flood(start, say, answering, family)


def sessions_work_through_a_flood(start, say, answering, family):
    daemon = start("--dtls-handshakes-max", str(HANDSHAKES_MAX))
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    fleet = Fleet([secure_device.join(daemon, cid=b"" if i % 2 else None, host=host) for i in range(DEVICES)])
    fleet.work(0.2)
    before, memory = daemon.metrics(), daemon.rss()
    flood = Flood(daemon.dtls_port, answering, family)
    flood.start()
    try:
        fleet.work(SECONDS)
    finally:
        flood.stop()
    metrics, grown = daemon.metrics(), daemon.rss() - memory
    hellos = metrics["shoal_dtls_hellos_total"] - before["shoal_dtls_hellos_total"]
    say(f"{flood.sent} hellos sent, {hellos:.0f} seen, {flood.cookies} came back with a cookie; {fleet.answered} of "
        f"{fleet.sent} updates answered, {fleet.repeated} sent again; memory +{grown >> 10} KiB")
    assert hellos > 2000
    assert fleet.answered == fleet.sent > 5 * DEVICES
    assert fleet.repeated < fleet.sent / 4, "a full socket may cost some, but not many"
    assert flood.bytes_in <= flood.bytes_out, "more was answered than asked"
    assert metrics["shoal_dtls_associations"] == DEVICES
    assert metrics["shoal_dtls_handshakes_total"] == DEVICES
    if answering:
        assert flood.cookies > 2 * HANDSHAKES_MAX
        assert metrics["shoal_dtls_handshakes_active"] <= HANDSHAKES_MAX
        assert metrics["shoal_dtls_hellos_limited_total"] > 0
        assert grown < HANDSHAKES_MAX * (32 << 10)
    else:
        assert metrics["shoal_dtls_handshakes_active"] == 0
        assert grown < 8 << 20
    for device in fleet.devices.values():
        device.close()


def test_a_network_with_many_hellos_has_a_budget(start):
    """[dtls] hello-rate: another network is not kept out by it."""
    daemon = start("--dtls-hello-rate", "5")
    with contextlib.ExitStack() as stack:
        def verified(source):
            """A hello with its cookie; whether a ServerHello came."""
            client = dtls_client.Client(daemon.dtls_port, b"x", b"y")
            stack.callback(client.close)
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((source, 0))
            client.sockets.append(s)
            s.settimeout(0.2)
            client.send_raw(client.hello_datagram())
            client.send_raw(client.hello_datagram(client.cookie_of(s.recv(2048)), 1))
            with contextlib.suppress(TimeoutError):
                return s.recv(2048)[13] == dtls_client.SERVER_HELLO
            return False

        greedy = [verified(f"127.9.9.{i}") for i in range(1, 21)]
        assert greedy[:5] == [True] * 5 and 10 <= sum(greedy) < 20, greedy
        assert verified("127.8.8.1")
        endpoint = secure_device.credential(daemon, coap_peer.unique("secure"))
        device = secure_device.SecureDevice(daemon.dtls_port, endpoint)
        stack.callback(device.close)
        device.register()
        assert shoal.wait_until(lambda: daemon.client(endpoint))


def test_ten_thousand_sessions_work_through_a_flood_of_hellos(start, say):
    """What the simulator's devices sent and got answered is counted by them."""
    daemon, count = start(), 10000
    devices = ["--count", str(count), "--psk", "{ep}:000102030405060708090a0b0c0d0e0f"]
    written = shoal.run("shoal-sim", *devices, "--write-credentials", "-")
    assert daemon.http("POST", "/api/security/clients/import", written.stdout, "text/csv").json["taken"] == count
    fleet = subprocess.Popen([shoal.program("shoal-sim"), "--server", f"coaps://127.0.0.1:{daemon.dtls_port}", *devices,
                              "--rate", "2500", "--update-interval", "4s", "--stay", "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, stdin=subprocess.DEVNULL)
    try:
        shoal.wait_until(lambda: daemon.metrics()["shoal_devices"] == count, 60, "registrations")
        before = daemon.metrics()
        flood = Flood(daemon.dtls_port, False)
        flood.start()
        time.sleep(8)
        flood.stop()
        metrics = daemon.metrics()
        fleet.send_signal(signal.SIGTERM)
        out, _ = fleet.communicate(timeout=30)
    finally:
        fleet.kill()
        fleet.wait()
    report = json.loads(out)
    updated = metrics["shoal_updates_total"] - before["shoal_updates_total"]
    hellos = metrics["shoal_dtls_hellos_total"] - before["shoal_dtls_hellos_total"]
    say(f"{flood.sent} hellos sent, {hellos:.0f} seen; {updated:.0f} updates of {count} devices meanwhile, "
        f"{report['retransmissions']} sent again, {report['timeouts']} without answer")
    assert hellos > 2000 and updated > count
    assert report["notRegistered"] == report["registrationsLost"] == report["timeouts"] == 0
    assert report["handshakes"] == count and not report["handshakesFailed"]
