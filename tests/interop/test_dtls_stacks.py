# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""DTLS clients of other people: OpenSSL, GnuTLS, Mbed TLS, wolfSSL, libcoap. None of them has connection ids."""

import contextlib
import itertools
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess

import pytest

import coap_peer
import secure_device
import shoal

HOSTS = ["127.0.0.1", "::1"]
KEY = secure_device.KEY.hex()
TEXT_KEY = "0123456789abcdef"  # coap-client takes its key as an argument, so it cannot hold a zero byte


def bracketed(host):
    return f"[{host}]" if ":" in host else host


# ---- certificates and keys ----

class Authority:
    """Keys and certificates of a test, made by the openssl command: one CA, all keys on P-256."""

    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.key("ca")
        self.openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=interop CA", "-days", "2", "-out", "ca.pem")
        self.issue("server", "localhost", "DNS:localhost,IP:127.0.0.1,IP:::1")

    def path(self, name):
        return str(self.folder / name)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=20)

    def key(self, name):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        return self.path(f"{name}.key")

    def issue(self, name, common_name, san=None):
        """NAME.key and NAME.pem"""
        self.key(name)
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={common_name}", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                     "-set_serial", str(next(self.numbers)), "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    def public_key(self, name):
        """NAME.key and NAME.pub; the DER of its SubjectPublicKeyInfo."""
        self.key(name)
        self.openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
        self.openssl("pkey", "-in", f"{name}.key", "-pubout", "-outform", "DER", "-out", f"{name}.der")
        return (self.folder / f"{name}.der").read_bytes()


@pytest.fixture(scope="module")
def authority():
    with shoal.temp_dir() as folder:
        yield Authority(folder)


@pytest.fixture(scope="module")
def options(authority):
    return ["--dtls-key", authority.path("server.key"), "--dtls-certificate", authority.path("server.pem"),
            "--dtls-trust", authority.path("ca.pem")]


@pytest.fixture(scope="module")
def daemon(options):
    """As that of the other files, with a certificate."""
    with shoal.temp_dir() as path, shoal.Daemon(path, *options) as running:
        yield running
        assert running.alive, running.log[-4000:]
        assert running.stop() == 0, running.log[-4000:]


def enrol(daemon, authority, mode, text_key=None):
    """An endpoint which may come in by `mode`, with what it needs as files called after it."""
    endpoint = coap_peer.unique(mode)
    details = {"psk": lambda: {"identity": f"id-{endpoint}", "key": text_key.encode().hex() if text_key else KEY},
               "rpk": lambda: {"key": authority.public_key(endpoint).hex()},
               "x509": lambda: authority.issue(endpoint, endpoint)}[mode]()
    tls = {"mode": mode} | ({"details": details} if details else {})
    answer = daemon.http("PUT", "/api/security/clients/", {"endpoint": endpoint, "tls": tls})
    assert answer.status in (200, 204), answer
    return endpoint


# ---- programs that forward packets into records and back ----

class PipedDevice(coap_peer.Device):
    """A device whose DTLS is another program's. A SOCK_SEQPACKET socket as its standard input and output keeps
    messages apart, for these programs read and write one record at a time; but gnutls-cli writes single bytes."""

    def __init__(self, command, endpoint):
        self.endpoint, self.location = endpoint, None
        self.in_pieces = command[0] == "gnutls-cli"
        self.mids = itertools.count(int.from_bytes(os.urandom(2), "big"))
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)

    def close(self):
        """Its words on standard error."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        if self.process.args[0] == "openssl":
            self.process.terminate()  # it does not end with its input
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket.close()
        if self.process.stderr.closed:
            return ""
        with self.process.stderr as errors:
            return errors.read().decode(errors="replace")

    def send(self, m):
        if isinstance(m, coap_peer.Message) and m.mid is None:
            m.mid = self.next_mid()
        self.socket.send(m if isinstance(m, bytes) else m.encode())
        return m

    def receive(self, timeout=5.0):
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        data = self.socket.recv(65536)
        while self.in_pieces and data and select.select([self.socket], [], [], 0.05)[0]:
            if not (piece := self.socket.recv(65536)):
                break
            data += piece
        if not data:
            raise AssertionError(f"{self.process.args[0]} ended: {self.close()[-2000:]}")
        return coap_peer.Message.decode(data)


def openssl(host, port, endpoint, authority, mode, suite):
    command = ["openssl", "s_client", "-dtls1_2", "-quiet", "-connect", f"{bracketed(host)}:{port}",
               "-cipher", f"{suite}:@SECLEVEL=0"]
    if mode == "psk":
        return [*command, "-psk_identity", f"id-{endpoint}", "-psk", KEY]
    return [*command, "-verify_return_error", "-verify", "2", "-CAfile", authority.path("ca.pem"),
            "-cert", authority.path(f"{endpoint}.pem"), "-key", authority.path(f"{endpoint}.key")]


def gnutls(host, port, endpoint, authority, mode, suite):
    exchange = "+PSK" if mode == "psk" else "+ECDHE-ECDSA"
    types = "+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK" if mode == "rpk" else "+CTYPE-CLI-X509:+CTYPE-SRV-X509"
    command = ["gnutls-cli", "--udp", "--logfile", authority.path(f"{endpoint}.log"), "-p", str(port), "--priority",
               f"NONE:+VERS-DTLS1.2:{exchange}:+{suite}:+AEAD:+SIGN-ECDSA-SHA256:+GROUP-SECP256R1:{types}", host]
    if mode == "psk":
        return [*command, "--pskusername", f"id-{endpoint}", "--pskkey", KEY]
    if mode == "rpk":
        # It has no way to be told which raw key the server has.
        return [*command, "--insecure", "--rawpkkeyfile", authority.path(f"{endpoint}.key"),
                "--rawpkfile", authority.path(f"{endpoint}.pub")]
    return [*command, "--x509cafile", authority.path("ca.pem"), "--verify-hostname", "localhost",
            "--x509certfile", authority.path(f"{endpoint}.pem"), "--x509keyfile", authority.path(f"{endpoint}.key")]


def ours(name):
    path = shoal.build_dir() / "tests" / "interop" / name
    if not path.exists():
        pytest.skip(f"{name} is not built: its library is missing (tools/install-packages test)")
    return str(path)


def mbedtls(host, port, endpoint, authority, mode, suite):
    command = [ours("mbedtls_client"), host, str(port), suite, mode]
    if mode == "psk":
        return [*command, f"id-{endpoint}", KEY]
    return [*command, *(authority.path(name) for name in ("ca.pem", f"{endpoint}.pem", f"{endpoint}.key"))]


def wolfssl(host, port, endpoint, authority, mode, suite):
    return [ours("wolfssl_client"), host, str(port), suite,
            *(authority.path(name) for name in ("ca.pem", f"{endpoint}.pem", f"{endpoint}.key"))]


# The first one of each stack and mode is the one that RFC 7925 wants, and runs over IPv6 too.
PIPED = [
    (openssl, "psk", "PSK-AES128-CCM8"), (openssl, "psk", "PSK-AES128-CCM"), (openssl, "psk", "PSK-AES128-GCM-SHA256"),
    (openssl, "psk", "PSK-AES256-CCM8"), (openssl, "psk", "PSK-AES256-GCM-SHA384"),
    (openssl, "x509", "ECDHE-ECDSA-AES128-CCM8"), (openssl, "x509", "ECDHE-ECDSA-AES128-CCM"),
    (openssl, "x509", "ECDHE-ECDSA-AES128-GCM-SHA256"), (openssl, "x509", "ECDHE-ECDSA-AES256-CCM8"),
    (openssl, "x509", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (gnutls, "psk", "AES-128-CCM-8"), (gnutls, "psk", "AES-256-CCM"), (gnutls, "x509", "AES-128-CCM-8"),
    (gnutls, "x509", "AES-128-GCM"), (gnutls, "rpk", "AES-128-CCM-8"), (gnutls, "rpk", "AES-256-GCM"),
    (mbedtls, "psk", "TLS-PSK-WITH-AES-128-CCM-8"), (mbedtls, "psk", "TLS-PSK-WITH-AES-128-CCM"),
    (mbedtls, "psk", "TLS-PSK-WITH-AES-128-GCM-SHA256"), (mbedtls, "psk", "TLS-PSK-WITH-AES-256-CCM"),
    (mbedtls, "x509", "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8"), (mbedtls, "x509", "TLS-ECDHE-ECDSA-WITH-AES-128-CCM"),
    (mbedtls, "x509", "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"),
    (wolfssl, "x509", "ECDHE-ECDSA-AES128-CCM-8"), (wolfssl, "x509", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (wolfssl, "x509", "ECDHE-ECDSA-AES256-CCM-8"),
]


def cases():
    seen = set()
    for stack, mode, suite in PIPED:
        first = (stack, mode) not in seen
        seen.add((stack, mode))
        for host in HOSTS if first else HOSTS[:1]:
            yield pytest.param(stack, mode, suite, host, id=f"{stack.__name__} {mode} {suite} {host}")


@pytest.fixture
def piped(authority):
    """piped(stack, ...) begins a program that ends with the test."""
    devices = []

    def begin(daemon, stack, mode, suite, host=HOSTS[0]):
        endpoint = enrol(daemon, authority, mode)
        command = stack(host, daemon.dtls_port, endpoint, authority, mode, suite)
        devices.append(PipedDevice(command, endpoint))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def read(daemon, device, value=b"shoal"):
    future = daemon.start_http("GET", f"/api/clients/{device.endpoint}/3/0/0")
    device.serve_one("2.05", value, coap_peer.TEXT)
    assert future.result(10).json["content"]["value"] == value.decode()


@pytest.mark.parametrize("stack, mode, suite, host", cases())
def test_a_device_registers_updates_and_is_read(daemon, piped, stack, mode, suite, host):
    device = piped(daemon, stack, mode, suite, host)
    assert device.register().text == "2.01"
    seen = daemon.client(device.endpoint)
    assert seen["secure"] and seen["address"].startswith(bracketed(host))
    assert device.update("lt=600").text == "2.04"
    read(daemon, device)
    read(daemon, device, b"x" * 900)
    assert device.deregister().text == "2.02"


@pytest.mark.parametrize("mode, suite", [("psk", "PSK-AES128-CCM8"), ("x509", "ECDHE-ECDSA-AES128-CCM8")])
def test_openssl_resumes_a_session_after_a_restart(start, authority, options, mode, suite):
    """By session id, which the server keeps in its store; and no longer when the credential is gone."""
    daemon = start(*options)
    endpoint = enrol(daemon, authority, mode)
    kept = authority.path(f"{endpoint}.session")
    command = openssl(HOSTS[0], daemon.dtls_port, endpoint, authority, mode, suite)

    def session(*more):
        """Registers by a session of its own; "", or what went wrong."""
        device = PipedDevice([*command, *more], endpoint)
        try:
            return device.register() and ""
        except (AssertionError, OSError) as error:
            return str(error) or repr(error)
        finally:
            device.close()

    assert session("-sess_out", kept) == "" and pathlib.Path(kept).exists()
    daemon.kill()
    daemon.start()
    assert session("-sess_in", kept) == ""
    metrics = daemon.metrics()
    assert [metrics[f"shoal_dtls_handshakes{kind}_total"] for kind in ("", "_resumed", "_failed")] == [1, 1, 0]
    assert daemon.client(endpoint)["secure"]
    assert daemon.http("DELETE", f"/api/security/clients/{endpoint}").status in (200, 204)
    assert session("-sess_in", kept) != ""
    assert daemon.metrics()["shoal_dtls_handshakes_total"] == 1


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("stack, mode, suite", [
    (gnutls, "psk", "AES-128-CCM-8"), (gnutls, "x509", "AES-128-CCM-8"), (mbedtls, "psk", "TLS-PSK-WITH-AES-128-CCM-8"),
    (mbedtls, "x509", "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8"), (wolfssl, "x509", "ECDHE-ECDSA-AES128-CCM-8")])
def test_stacks_resume_a_session(start, authority, options, piped, stack, mode, suite, host):
    """By session id: each makes a session, ends it, and goes on by another that begins where it was."""
    daemon = start(*options)
    endpoint = enrol(daemon, authority, mode)
    command = stack(host, daemon.dtls_port, endpoint, authority, mode, suite)
    device = PipedDevice([command[0], "--inline-commands" if stack is gnutls else "--resume", *command[1:]], endpoint)
    try:
        assert device.register().text == "2.01"
        if stack is gnutls:
            device.send(b"\n^resume^\n")  # a command of its own, at the beginning of a line
            assert device.update("lt=600").text == "2.04"
        metrics = daemon.metrics()
        assert [metrics[f"shoal_dtls_handshakes{kind}_total"] for kind in ("", "_resumed", "_failed")] == [2, 1, 0]
        read(daemon, device)
    finally:
        device.close()


@pytest.mark.parametrize("stack, mode, suite", [PIPED[0], PIPED[5], (gnutls, "rpk", "AES-128-CCM-8")])
def test_a_stranger_is_refused(daemon, authority, piped, stack, mode, suite):
    """Known to the CA or with a key of its own, but no entry."""
    daemon.http("DELETE", "/api/failures")
    endpoint = coap_peer.unique("stranger")
    authority.issue(endpoint, endpoint)
    if mode == "rpk":
        authority.public_key(endpoint)
    device = PipedDevice(stack(HOSTS[0], daemon.dtls_port, endpoint, authority, mode, suite), endpoint)
    try:
        device.send(device.register_message())
        with pytest.raises((AssertionError, OSError)):
            assert device.receive(4) is not None, "silence"
    finally:
        device.close()
    assert daemon.client(endpoint) is None
    row, = daemon.get("/api/failures").json
    assert (row["kind"], row.get("name"), row["cause"]) == {
        "psk": ("identity", f"id-{endpoint}", "unknown_identity"),
        "x509": ("identity", endpoint, "bad_certificate"),
        "rpk": ("address", None, "bad_certificate")}[mode], row


# ---- libcoap ----

def coap_client(library, arguments, mode, endpoint, authority):
    program = shutil.which(f"coap-client-{library}")
    assert program, "Debian's libcoap3-bin is needed"
    if mode == "psk":
        credentials = ["-u", f"id-{endpoint}", "-k", TEXT_KEY]
    elif mode == "x509":
        credentials = ["-C", authority.path("ca.pem"), "-c", authority.path(f"{endpoint}.pem"),
                       "-j", authority.path(f"{endpoint}.key")]
    else:
        both = authority.folder / f"{endpoint}.both"
        both.write_text("".join(pathlib.Path(authority.path(f"{endpoint}.{part}")).read_text()
                                for part in ("pub", "key")))
        credentials = ["-M", str(both), "-n"]
    return subprocess.run([program, "-v", "7", "-B", "5", *credentials, *arguments], capture_output=True, timeout=20,
                          stdin=subprocess.DEVNULL, text=True, errors="replace")


def coap_register(daemon, authority, library, mode, host):
    endpoint = enrol(daemon, authority, mode, TEXT_KEY)
    uri = f"coaps://{bracketed(host)}:{daemon.dtls_port}/rd?ep={endpoint}&lt=300&lwm2m=1.1&b=U"
    result = coap_client(library, ["-m", "post", "-t", "40", "-e", "</1/0>,</3/0>", uri], mode, endpoint, authority)
    return endpoint, result.stdout + result.stderr


@pytest.mark.parametrize("library, mode, host", [
    ("gnutls", "psk", HOSTS[0]), ("openssl", "psk", HOSTS[0]), ("gnutls", "rpk", HOSTS[0]), ("gnutls", "rpk", HOSTS[1]),
    *((library, "x509", host) for library in ("gnutls", "openssl") for host in HOSTS)])
def test_coap_client_of_libcoap_registers(daemon, authority, library, mode, host):
    endpoint, output = coap_register(daemon, authority, library, mode, host)
    assert re.search(r"\b2\.01\b", output), output[-3000:]
    seen = daemon.client(endpoint)
    assert seen["secure"] and seen["registrationId"] in output


@pytest.mark.parametrize("library", ["gnutls", "openssl"])
def test_an_address_as_server_name_is_refused_with_a_reason(daemon, authority, library):
    """coap-client with PSK names "::1" in SNI, which RFC 6066, 3 forbids and GnuTLS refuses (docs/dtls.md, Clients)."""
    daemon.http("DELETE", "/api/failures")
    endpoint, output = coap_register(daemon, authority, library, "psk", "::1")
    assert "llegal parameter" in output and daemon.client(endpoint) is None
    row, = daemon.get("/api/failures").json
    assert row["cause"] == "protocol_error" and "SNI" in row["detail"], row
