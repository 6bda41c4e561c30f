# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Command line, configuration and what goes wrong at start: clear words and exit codes."""

import os
import re
import shutil
import socket
import subprocess

import pytest

import coap_peer
import shoal
from coap_peer import Device

COMPLETE = ["--coap-listen", "127.0.0.1:0", "--dtls-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]


def shoald(folder, *arguments, env=None):
    return shoal.run("shoald", *arguments, env=env, cwd=folder, timeout=20)


def test_help_names_every_setting_and_says_how_to_use_it(folder):
    result = shoald(folder, "--help")
    assert result.returncode == 0 and result.stderr == ""
    for option in ["--config", "--coap-listen", "--http-listen", "--http-insecure-allow-remote", "--store-url",
                   "--store-durability", "--store-size-max", "--store-journal-age-max", "--store-journal-size-max",
                   "--lwm2m-strict", "--lwm2m-default-lifetime", "--lwm2m-lifetime-grace", "--lwm2m-awake-time",
                   "--lwm2m-devices-max", "--coap-ack-timeout", "--coap-ack-random-factor", "--coap-max-retransmit",
                   "--coap-nstart", "--coap-response-timeout", "--log-level", "--version", "--help", "--print-settings"]:
        assert re.search(rf"{option}\b", result.stdout), option


def test_version(folder):
    result = shoald(folder, "--version")
    assert result.returncode == 0
    assert re.search(r"shoald? \d+\.\d+\.\d+", result.stdout)


def test_the_reference_page_in_docs_is_what_the_program_prints(folder):
    printed = shoald(folder, "--print-settings")
    assert printed.returncode == 0
    page = shoal.ROOT / "docs" / "settings.md"
    assert page.read_text() == printed.stdout, "write it anew: shoald --print-settings > docs/settings.md"


@pytest.mark.parametrize("arguments, words", [
    (["--no-such-thing"], ["--no-such-thing"]),
    (["--coap-lisen", "x"], ["--coap-lisen", "--coap-listen"]),
    (["--lwm2m-lifetime-grace", "soon"], ["--lwm2m-lifetime-grace", "soon"]),
    (["--lwm2m-strict=maybe"], ["--lwm2m-strict", "maybe", "yes", "no"]),
    (["--store-durability", "hope"], ["--store-durability", "hope", "disk", "local"]),
    (["--log-level", "loud"], ["--log-level", "loud", "error", "warn", "info", "debug"]),
    (["--store-size-max", "lots"], ["--store-size-max", "lots"]),
    (["--coap-nstart", "0"], ["--coap-nstart", "0"]),
    (["--coap-max-retransmit", "-1"], ["--coap-max-retransmit", "-1"]),
    (["--coap-listen", "nowhere"], ["nowhere"]),
    (["--coap-listen", "127.0.0.1:99999"], ["127.0.0.1:99999"]),
    (["--http-listen", "127.0.0.1"], ["127.0.0.1"]),
    (["--store-url", "mysql://x"], ["mysql", "lmdb:"]),
    (["--http-listen", "0.0.0.0:0"], ["0.0.0.0", "insecure-allow-remote"]),
    (["--http-listen", "[::]:0"], ["[::]", "insecure-allow-remote"]),
    (["operand"], ["operand"]),
])
def test_a_wrong_option_is_named_with_what_would_be_right(folder, arguments, words):
    result = shoald(folder, *COMPLETE, "--store-url", f"lmdb:{folder}/data", *arguments)
    assert result.returncode == 2, result
    for word in words:
        assert word in result.stderr, (word, result.stderr)
    assert not (folder / "data").exists()


def test_a_wrong_line_is_named_by_file_and_line_and_all_are_reported(folder):
    config = folder / "shoald.conf"
    config.write_text("[coap]\nlisten = 127.0.0.1:0\nack-timeout = never\n\n[lwm2m]\nstrict = perhaps\ncolour = blue\n[nonsense]\na = b\n")
    result = shoald(folder, "--config", str(config))
    assert result.returncode == 2
    for line, word in [(3, "never"), (6, "perhaps"), (7, "colour"), (8, "nonsense")]:
        assert re.search(rf"shoald\.conf:{line}\b.*{word}", result.stderr), result.stderr


def test_a_missing_configuration_file_is_named(folder):
    result = shoald(folder, "--config", str(folder / "nothing.conf"))
    assert result.returncode == 2 and "nothing.conf" in result.stderr


def test_a_wrong_environment_variable_is_named(folder):
    result = shoald(folder, *COMPLETE, env={"SHOAL_COAP_ACK_TIMEOUT": "never"})
    assert result.returncode == 2 and "SHOAL_COAP_ACK_TIMEOUT" in result.stderr


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(folder):
    config = folder / "shoald.conf"
    config.write_text("[lwm2m]\ndefault-lifetime = 100\nawake-time = 5s\n[store]\ndurability = local\n")
    with shoal.Daemon(folder, "--config", str(config), env={"SHOAL_LWM2M_DEFAULT_LIFETIME": "200"}) as daemon, \
            Device(daemon.coap_port) as d:
        d.register(lt=None)
        assert daemon.client(d.endpoint)["lifetime"] == 200
    with shoal.Daemon(folder, "--config", str(config), "--lwm2m-default-lifetime", "300",
                      env={"SHOAL_LWM2M_DEFAULT_LIFETIME": "200"}) as daemon, Device(daemon.coap_port) as d:
        d.register(lt=None)
        assert daemon.client(d.endpoint)["lifetime"] == 300
    with shoal.Daemon(folder, "--config", str(config)) as daemon, Device(daemon.coap_port) as d:
        d.register(lt=None)
        assert daemon.client(d.endpoint)["lifetime"] == 100


def test_port_0_takes_a_free_port_and_the_ready_line_tells_which(folder):
    process = subprocess.Popen([shoal.program("shoald"), *COMPLETE, "--coap-listen", "127.0.0.1:0,[::1]:0",
                                "--store-url", f"lmdb:{folder}/data"], stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        line = next(x for x in process.stderr if " ready " in x)
        match = re.search(r'coap="([^"]*)" dtls="[^"]*" http="([^"]*)"', line)
        coap, http = match.group(1).split(","), match.group(2)
        assert len(coap) == 2
        for address, host in zip(coap, ("127.0.0.1", "::1")):
            port = int(address.rpartition(":")[2])
            assert port > 0
            with Device(port, host=host) as d:
                d.register()
        assert shoal.fetch("GET", f"http://{http}/healthz").status == 200
        assert len(shoal.fetch("GET", f"http://{http}/api/clients").json) == 2
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stderr.close()


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_an_orderly_stop_exits_with_0(folder, signal):
    import signal as signals
    with shoal.Daemon(folder) as daemon:
        daemon.process.send_signal(getattr(signals, signal))
        assert daemon.process.wait(10) == 0


def test_a_coap_port_in_use_is_told(folder):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        result = shoald(folder, *COMPLETE, "--coap-listen", f"127.0.0.1:{port}", "--store-url", f"lmdb:{folder}/data")
    assert result.returncode == 1
    assert str(port) in result.stderr and "in use" in result.stderr.lower(), result.stderr


def test_an_http_port_in_use_is_told(folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        result = shoald(folder, *COMPLETE, "--http-listen", f"127.0.0.1:{port}", "--store-url", f"lmdb:{folder}/data")
    assert result.returncode == 1
    assert str(port) in result.stderr and "in use" in result.stderr.lower(), result.stderr


def test_a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on(folder):
    with shoal.Daemon(folder) as daemon, Device(daemon.coap_port) as d:
        d.register()
        result = shoald(folder, *COMPLETE, "--store-url", daemon.store)
        assert result.returncode == 1
        assert "data" in result.stderr and re.search(r"(?i)another|in use|busy", result.stderr), result.stderr
        assert d.update().text == "2.04"


def test_a_store_that_cannot_be_made_is_told(folder):
    (folder / "file").write_text("x")
    result = shoald(folder, *COMPLETE, "--store-url", f"lmdb:{folder}/file/data")
    assert result.returncode == 1
    assert f"{folder}/file/data" in result.stderr and "directory" in result.stderr.lower(), result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_directory_is_told(folder):
    place = folder / "readonly"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", str(place)], check=True)
    try:
        result = shoald(folder, *COMPLETE, "--store-url", f"lmdb:{place}/data")
        assert result.returncode == 1
        assert str(place) in result.stderr and "read-only" in result.stderr.lower(), result.stderr
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_store_that_is_no_store_is_told_and_left_alone(folder):
    place = folder / "data"
    place.mkdir()
    garbage = os.urandom(65536)
    (place / "data.mdb").write_bytes(garbage)
    result = shoald(folder, *COMPLETE, "--store-url", f"lmdb:{place}")
    assert result.returncode == 1 and str(place) in result.stderr, result
    assert (place / "data.mdb").read_bytes() == garbage


def make_newer(store):
    """Raises the number of the format that is written in the store."""
    dump = subprocess.run(["mdb_dump", "-s", "meta", str(store)], check=True, capture_output=True, text=True).stdout
    value = re.search(rf" {b'format'.hex()}\n ({b'shoal-db'.hex()})([0-9a-f]{{8}})", dump)
    newer = dump[:value.start(2)] + f"{int(value.group(2), 16) + 1:08x}" + dump[value.end(2):]
    subprocess.run(["mdb_load", "-s", "meta", str(store)], check=True, input=newer, text=True)


@pytest.mark.skipif(not shutil.which("mdb_dump"), reason="lmdb-utils is not installed")
def test_a_store_of_a_newer_version_is_refused_and_left_alone(folder):
    with shoal.Daemon(folder) as daemon, Device(daemon.coap_port) as d:
        d.register()
        assert daemon.stop() == 0
    make_newer(folder / "data")
    before = (folder / "data" / "data.mdb").read_bytes()
    result = shoald(folder, *COMPLETE, "--store-url", f"lmdb:{folder}/data")
    assert result.returncode == 1
    assert "newer" in result.stderr.lower() and f"{folder}/data" in result.stderr, result.stderr
    assert (folder / "data" / "data.mdb").read_bytes() == before
