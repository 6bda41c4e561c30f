# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""shoal-sim speaks DTLS to shoald: sessions outlive the server's process and the devices' addresses.

Every claim is made twice, by the counters of the server and by those of the simulator.
"""

import contextlib
import json
import signal
import subprocess
import time

import pytest

import shoal

COUNT = 50
PSK = "id-{ep}:000102030405060708090a0b0c0d0e0f"


class Fleet:
    """A shoal-sim with DTLS, whose devices the server knows."""

    def __init__(self, daemon, *options, count=COUNT, credentials=("--psk", PSK)):
        self.daemon, self.count = daemon, count
        written = shoal.run("shoal-sim", "--count", str(count), *credentials, "--write-credentials", "-")
        assert written.returncode == 0, written
        taken = daemon.http("POST", "/api/security/clients/import", written.stdout, "text/csv").json
        assert taken["taken"] == count and not taken["refused"], taken
        command = [shoal.program("shoal-sim"), "--server", f"coaps://127.0.0.1:{daemon.dtls_port}", "--count", str(count),
                   "--rate", "0", "--stay", "--json", *credentials, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def wait_registered(self):
        shoal.wait_until(lambda: len(self.daemon.get("/api/clients").json) == self.count, 20, "registrations")

    def report(self):
        """The sums, after the end."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, out + err
        return json.loads(out)


@contextlib.contextmanager
def server(*options):
    with shoal.temp_dir() as folder, shoal.Daemon(folder, *options) as daemon:
        yield daemon


def names(count=COUNT):
    return [f"sim-{i:06}" for i in range(1, count + 1)]


def updates(daemon):
    return daemon.metrics()["shoal_updates_total"]


def wait_updates(daemon, more, timeout=20):
    wanted = updates(daemon) + more
    shoal.wait_until(lambda: updates(daemon) >= wanted, timeout, f"{more} Updates")


def read_all(daemon, count=COUNT):
    for name in names(count):
        answer = daemon.get(f"/api/clients/{name}/3/0/0?timeout=20")
        assert answer.status == 200 and answer.json["success"], (name, answer)


def observe_all(daemon):
    for name in names():
        answer = daemon.http("POST", f"/api/clients/{name}/3303/0/5700/observe?timeout=20")
        assert answer.status == 200 and answer.json["success"], (name, answer)


def notified(events, since):
    return {e.data["ep"] for e in events.seen[since:] if e.name == "NOTIFICATION"}


def registration_ids(daemon):
    return {c["endpoint"]: c["registrationId"] for c in daemon.get("/api/clients").json}


def test_sessions_outlive_the_server_and_the_ports():
    """With connection ids: one handshake per device, through SIGTERM, kill -9 and two changes of ports."""
    with server() as daemon, Fleet(daemon, "--update-interval", "1s", "--notify-interval", "500ms",
                                   "--rebind", "10s") as fleet:
        fleet.wait_registered()
        ids = registration_ids(daemon)
        read_all(daemon)
        observe_all(daemon)
        assert daemon.metrics()["shoal_dtls_handshakes_total"] == COUNT
        for end in (daemon.stop, daemon.kill):
            end()
            daemon.start()
            with daemon.events() as events:
                wait_updates(daemon, 2 * COUNT)
                shoal.wait_until(lambda: notified(events, 0) == set(names()), 20, "notifications of all")
            read_all(daemon)
            after = daemon.metrics()
            assert after["shoal_dtls_handshakes_total"] == 0 and after["shoal_dtls_handshakes_failed_total"] == 0
            assert after["shoal_dtls_associations"] == COUNT
        shoal.wait_until(lambda: daemon.metrics()["shoal_dtls_moves_total"] >= COUNT, 20, "moves")
        read_all(daemon)
        assert registration_ids(daemon) == ids
        assert daemon.metrics()["shoal_dtls_hellos_total"] == 0
        report = fleet.report()
    assert report["handshakes"] == report["registered"] == COUNT
    assert report["handshakesFailed"] == {} and report["sessionsEnded"] == 0 and report["registrationsLost"] == 0
    assert report["portsChanged"] >= COUNT


def test_without_connection_ids_a_new_port_costs_one_handshake():
    count = 10
    with server() as daemon, Fleet(daemon, "--update-interval", "1s", "--ack-timeout", "50ms", "--cid", "off",
                                   "--rebind", "8s", count=count) as fleet:
        fleet.wait_registered()
        ids = registration_ids(daemon)
        handshakes = lambda: daemon.metrics()["shoal_dtls_handshakes_total"]
        shoal.wait_until(lambda: handshakes() >= 2 * count, 40, "new handshakes")
        assert registration_ids(daemon) == ids
        after = daemon.metrics()
        assert after["shoal_dtls_associations"] == count  # the old ones are gone
        assert after["shoal_dtls_moves_total"] == 0
        report = fleet.report()
    # No more than one for each change, and at least for those that were found out.
    assert count <= report["handshakes"] - count <= report["portsChanged"]
    assert report["registered"] == count and report["registrationsLost"] == 0


def test_a_lost_session_is_resumed():
    count = 5
    with server("--no-dtls-connection-ids") as daemon, \
            Fleet(daemon, "--update-interval", "1s", "--ack-timeout", "50ms", "--resume", "--rebind", "6s",
                  count=count) as fleet:
        fleet.wait_registered()
        resumed = lambda: daemon.metrics()["shoal_dtls_handshakes_resumed_total"]
        shoal.wait_until(lambda: resumed() >= count, 40, "resumptions")
        read = shoal.wait_until(lambda: (a := daemon.get("/api/clients/sim-000001/3/0/0")).json.get("success") and a, 20, "read")
        assert read.status == 200
        report = fleet.report()
    assert report["handshakesResumed"] >= count and report["registered"] == count


def test_raw_public_keys_of_each_device():
    count = 10
    with server() as daemon, Fleet(daemon, "--cid", "8", count=count, credentials=("--raw-keys", "aabb")) as fleet:
        fleet.wait_registered()
        read_all(daemon, count)
        assert {c["secure"] for c in daemon.get("/api/clients").json} == {True}
        assert fleet.report()["handshakes"] == count


def make_certificates(folder, count):
    """An authority, the server's certificate, and one for each device; by the openssl program."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def issue(name, subject):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.pem")

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-days", "2", "-subj", "/CN=authority")
    issue("server", "server")
    for name in names(count):
        issue(name, name)


def test_a_certificate_for_each_device():
    count = 3
    with shoal.temp_dir() as folder:
        make_certificates(folder, count)
        with server("--dtls-certificate", f"{folder}/server.pem", "--dtls-key", f"{folder}/server.key", "--dtls-trust",
                    f"{folder}/ca.pem") as daemon, \
                Fleet(daemon, count=count, credentials=("--certificate", f"{folder}/{{ep}}.pem", "--key",
                                                        f"{folder}/{{ep}}.key", "--trust", f"{folder}/ca.pem")) as fleet:
            fleet.wait_registered()
            read_all(daemon, count)
            assert fleet.report()["handshakes"] == count


def test_a_device_that_is_refused_is_told_of_on_both_sides():
    with server() as daemon:
        ended = shoal.run("shoal-sim", "--server", f"coaps://127.0.0.1:{daemon.dtls_port}", "--count", "2", "--rate", "0",
                          "--psk", PSK, "--duration", "1s", "--json")
        report = json.loads(ended.stdout)
        assert ended.returncode == 1 and report["handshakes"] == 0
        assert report["handshakesFailed"] == {"unknown_identity": 2}
        assert "--write-credentials" in ended.stderr
        failures = daemon.get("/api/failures").json
        assert {f["cause"] for f in failures} == {"unknown_identity"}, failures


def test_devices_share_sockets_where_files_are_scarce():
    """200 devices, 64 of the 80 descriptors kept for other things: 16 sockets, and an address for each device."""
    import resource

    count = 200
    with server() as daemon:
        written = shoal.run("shoal-sim", "--count", str(count), "--psk", PSK, "--write-credentials", "-")
        daemon.http("POST", "/api/security/clients/import", written.stdout, "text/csv")
        command = [shoal.program("shoal-sim"), "--server", f"coaps://127.0.0.1:{daemon.dtls_port}", "--count", str(count),
                   "--rate", "0", "--psk", PSK, "--rebind", "2s", "--update-interval",
                   "500ms", "--ack-timeout", "300ms", "--duration", "5s", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)))
        out, err = process.communicate(timeout=40)
        assert process.returncode == 0, out + err
        report = json.loads(out)
        assert report["handshakes"] == report["registered"] == report["deregistered"] == count
        assert report["portsChanged"] > count and daemon.metrics()["shoal_dtls_moves_total"] > count
