# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""HTTPS, tokens and credentials by the real programs, as an operator sets them up."""

import datetime
import http.client
import ipaddress
import json
import os
import re
import ssl
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import shoal


def make_certificate(folder, name="server"):
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
                   .sign(key, hashes.SHA256()))
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return files


class Secure(shoal.Daemon):
    """shoald on all addresses, by HTTPS."""

    def __init__(self, folder, *options):
        self.ca, self.key = make_certificate(folder)
        super().__init__(folder, "--http-certificate", str(self.ca), "--http-key", str(self.key), *options)

    def arguments(self):
        return [a.replace("127.0.0.1:", "0.0.0.0:") if a.startswith("127.0.0.1:") else a for a in super().arguments()]

    def admin_token(self):
        return (self.folder / "data" / "admin-token").read_text().strip()

    def ask(self, method, path, token=None, body=None):
        context = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self.http_port, timeout=30, context=context)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        result = shoal.Response(answer.status, answer.headers, answer.read())
        connection.close()
        return result

    def ctl(self, *arguments, code=0, token=None, env=None):
        options = ["--token", token] if token else []
        result = shoal.run("shoalctl", "--url", f"https://127.0.0.1:{self.http_port}", "--ca", str(self.ca), *options,
                           *arguments, env=env)
        assert result.returncode == code, result
        return result


@pytest.fixture
def secure(folder):
    with Secure(folder) as daemon:
        yield daemon


def test_what_others_reach_needs_https_and_a_token(secure):
    path = secure.folder / "data" / "admin-token"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    token = secure.admin_token()
    assert str(path.name) in secure.log and token not in secure.log
    refused = secure.ask("GET", "/api/clients")
    assert refused.status == 401 and refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert secure.ask("GET", "/api/event").status == 401
    assert secure.ask("GET", "/healthz").status == 200
    assert secure.ask("GET", "/api/clients", token).json == []
    # No HTTP beside it, and nothing below TLS 1.2.
    with pytest.raises((OSError, http.client.HTTPException)):
        shoal.fetch("GET", f"http://127.0.0.1:{secure.http_port}/healthz", timeout=5)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(str(secure.ca))
    with pytest.warns(DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        http.client.HTTPSConnection("127.0.0.1", secure.http_port, timeout=5, context=old).request("GET", "/healthz")


def test_many_requests_and_a_large_answer_go_by_one_https_connection(secure):
    token = secure.admin_token()
    context = ssl.create_default_context(cafile=str(secure.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", secure.http_port, timeout=30, context=context)
    for _ in range(50):
        connection.request("GET", "/api/openapi.json", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        assert answer.status == 200 and len(answer.read()) > 20000
    body = "endpoint,mode,identity,key\n" + "".join(f"e{i},psk,i{i},00\n" for i in range(2000))
    connection.request("POST", "/api/security/clients/import", body, {"Authorization": f"Bearer {token}"})
    assert json.loads(connection.getresponse().read()) == {"refused": [], "taken": 2000, "refusedCount": 0}
    connection.close()
    assert len(secure.ask("GET", "/api/security/clients", token).json) == 2000


def test_events_come_by_https_and_end_with_the_token(secure):
    admin = secure.admin_token()
    reader = secure.ask("POST", "/api/tokens", admin, json.dumps({"role": "read"})).json
    context = ssl.create_default_context(cafile=str(secure.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", secure.http_port, timeout=30, context=context)
    connection.request("GET", "/api/event",
                       headers={"Authorization": f"Bearer {reader['token']}", "Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert answer.status == 200
    from coap_peer import Device
    with Device(secure.coap_port) as device:
        device.register()
    assert b"REGISTRATION" in answer.readline()
    assert secure.ask("DELETE", f"/api/tokens/{reader['id']}", admin).status == 204
    assert b"unauthorized" in answer.read()
    connection.close()


def test_tokens_by_shoalctl(secure):
    admin = secure.admin_token()
    file = secure.folder / "token"
    file.write_text(admin + "\n")
    made = secure.ctl("--token-file", str(file), "token", "create", "--role", "operate", "--name", "backend",
                      "--expires", "30d").stdout.strip()
    assert re.fullmatch(r"shoal_[0-9a-f]{16}_[0-9a-f]{64}", made)
    identity = made.split("_")[1]
    listed = secure.ctl("token", "list", env={"SHOALCTL_TOKEN": admin}).stdout
    assert identity in listed and "backend" in listed and "operate" in listed and made.split("_")[2] not in listed
    assert secure.ctl("list", token=made).stdout
    assert "admin" in secure.ctl("token", "list", token=made, code=1).stderr
    assert "token" in secure.ctl("list", code=1).stderr
    secure.ctl("token", "revoke", identity, token=admin)
    assert "not valid" in secure.ctl("list", token=made, code=1).stderr
    secure.ctl("token", "create", "--role", "king", token=admin, code=1)
    secure.ctl("token", "create", token=admin, code=2)
    secure.ctl("token", "create", "--role", "read", "--expires", "soon", token=admin, code=2)
    secure.ctl("token", "nonsense", token=admin, code=2)


def test_tokens_and_credentials_outlive_the_process(secure):
    admin = secure.admin_token()
    secure.ctl("security", "set", "dev-1", "psk", "id-1", "0a0b", token=admin)
    secure.kill()
    secure.start()
    assert secure.admin_token() == admin  # no second one
    listed = json.loads(secure.ctl("security", "list", "--json", token=admin).stdout)
    assert [c["endpoint"] for c in listed] == ["dev-1"]
    # All are lost: the one who starts the server gets another.
    secure.stop()
    secure.options.append("--new-admin-token")
    secure.start()
    assert secure.admin_token() != admin
    assert secure.ask("GET", "/api/tokens", secure.admin_token()).status == 200
    assert secure.ask("GET", "/api/tokens", admin).status == 200


def test_credentials_by_shoalctl(secure):
    admin = secure.admin_token()
    secure.ctl("security", "set", "dev-1", "psk", "id-1", "0a0b", token=admin)
    secure.ctl("security", "set", "dev-2", "x509", token=admin)
    secure.ctl("security", "set", "dev-1", "psk", "0x00ff", "0c", "--rotate", token=admin)
    table = secure.ctl("security", "list", token=admin).stdout
    assert "id-1" in table and "0x00ff" in table and "not used yet" in table and "x509" in table and "0a0b" not in table
    assert "in use" in secure.ctl("security", "set", "dev-3", "psk", "id-1", "0a", token=admin, code=1).stderr
    secure.ctl("security", "set", "dev-3", "psk", "id-3", token=admin, code=2)
    secure.ctl("security", "delete", "dev-1", token=admin)
    secure.ctl("security", "delete", "dev-1", token=admin, code=1)
    assert "dev-1" not in secure.ctl("security", "list", token=admin).stdout


def test_a_csv_file_is_imported_with_a_report(secure):
    admin = secure.admin_token()
    file = secure.folder / "devices.csv"
    file.write_text("endpoint,mode,identity,key\n"
                    "dev-1,psk,id-1,00112233\n"
                    "dev-2,psk,id-1,44\n"
                    "dev-3,psk,id-3,xyz\n"
                    'dev-4,psk,"id, 4",55\n'
                    "dev-5,x509,,\n")
    result = secure.ctl("security", "import", str(file), token=admin, code=1)
    assert result.stdout == "3 taken, 2 refused\n"
    assert "line 3: " in result.stderr and "line 4: " in result.stderr
    assert "00112233" not in secure.log
    assert {c["endpoint"] for c in json.loads(secure.ctl("security", "list", "--json", token=admin).stdout)} == \
        {"dev-1", "dev-4", "dev-5"}


def test_keys_are_not_in_the_store_in_clear(secure):
    admin = secure.admin_token()
    key = "5ec2e7" * 8
    secure.ctl("security", "set", "dev-1", "psk", "the-identity", key, token=admin)
    assert secure.stop() == 0
    data = (secure.folder / "data" / "data.mdb").read_bytes()
    assert b"the-identity" in data
    assert bytes.fromhex(key) not in data and key.encode() not in data
    assert admin.split("_")[2].encode() not in data and bytes.fromhex(admin.split("_")[2]) not in data


def test_failures_are_there_and_can_be_cleared(secure):
    admin = secure.admin_token()
    assert secure.ask("GET", "/api/failures", admin).json == []
    assert "WHO" in secure.ctl("failures", token=admin).stdout
    secure.ctl("failures", "clear", token=admin)


@pytest.mark.parametrize("options, words", [
    (["--http-certificate", "nothing.pem", "--http-key", "nothing.pem"], ["nothing.pem", "No such file"]),
    (["--http-certificate", "server.crt"], ["certificate and key"]),
    (["--http-certificate", "server.crt", "--http-key", "other.key"], ["server.crt", "other.key"]),
    (["--http-certificate", "server.key", "--http-key", "server.crt"], ["cannot be used"]),
    (["--http-listen", "0.0.0.0:0"], ["certificate", "insecure-allow-remote"]),
    (["--http-listen", "0.0.0.0:0", "--http-require-token", "yes"], ["certificate", "insecure-allow-remote"]),
    (["--http-listen", "0.0.0.0:0", "--http-certificate", "server.crt", "--http-key", "server.key",
      "--http-require-token", "no"], ["require-token", "insecure-allow-remote"]),
])
def test_what_does_not_go_together_is_refused_at_the_start(folder, options, words):
    make_certificate(folder)
    make_certificate(folder, "other")
    result = shoal.run("shoald", "--coap-listen", "127.0.0.1:0", "--store-url", f"lmdb:{folder}/data", *options,
                       cwd=folder)
    assert result.returncode == 2, result
    for word in words:
        assert word in result.stderr, result.stderr
    assert not (folder / "data").exists()


def test_without_control_only_if_somebody_insists(folder):
    with shoal.Daemon(folder, "--http-listen", f"0.0.0.0:{shoal.free_port()}", "--http-insecure-allow-remote") as daemon:
        port = int(re.search(r'http="[^"]*:(\d+)"', daemon.log).group(1))
        assert shoal.fetch("GET", f"http://127.0.0.1:{port}/api/tokens").json == []


def test_a_certificate_that_is_not_trusted_is_told(secure):
    other, _ = make_certificate(secure.folder, "other")
    result = shoal.run("shoalctl", "--url", f"https://127.0.0.1:{secure.http_port}", "--ca", str(other), "list")
    assert result.returncode == 3 and "--ca" in result.stderr
