# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""shoalctl and shoal-sim against a real server, as a person uses them."""

import json
import signal
import subprocess
import time

import pytest

import shoal


@pytest.fixture(scope="module")
def place():
    """A server with three simulated devices."""
    with shoal.temp_dir() as folder, shoal.Daemon(folder) as daemon:
        sim = subprocess.Popen([shoal.program("shoal-sim"), "--server", f"coap://127.0.0.1:{daemon.coap_port}", "--count",
                                "3", "--prefix", "tool", "--rate", "0", "--json"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        try:
            shoal.wait_until(lambda: len(daemon.get("/api/clients").json) == 3, 10, "three devices")
            yield daemon
            sim.send_signal(signal.SIGTERM)
            summary = json.loads(sim.communicate(timeout=20)[0])
            assert sim.returncode == 0 and summary["deregistered"] == 3, summary
            assert daemon.get("/api/clients").json == []
        finally:
            sim.kill()
            sim.communicate()


@pytest.fixture
def ctl(place):
    def call(*arguments, code=0):
        result = shoal.run("shoalctl", "--url", f"http://127.0.0.1:{place.http_port}", *arguments)
        assert result.returncode == code, result
        return result
    return call


def test_list_and_show_are_tables_for_people_and_json_for_programs(ctl):
    lines = ctl("list").stdout.splitlines()
    assert lines[0].split()[0] == "ENDPOINT" and [x.split()[0] for x in lines[1:]] == [f"tool-00000{i}" for i in (1, 2, 3)]
    names = {r["endpoint"] for r in json.loads(ctl("list", "--json").stdout)}
    assert names == {"tool-000001", "tool-000002", "tool-000003"}
    assert "tool-000002" in ctl("show", "tool-000002").stdout
    assert json.loads(ctl("show", "tool-000002", "--json").stdout)["endpoint"] == "tool-000002"


def test_what_is_written_is_read_back(ctl):
    ctl("write", "tool-000001", "/3/0/14", "+02:00")
    assert ctl("read", "tool-000001", "/3/0/14").stdout == "+02:00\n"
    assert json.loads(ctl("read", "tool-000001", "/3/0/14", "--json").stdout)["content"]["value"] == "+02:00"
    table = ctl("read", "tool-000001", "/3").stdout
    assert "Manufacturer" in table and "+02:00" in table


def test_execute_discover_and_attributes(ctl):
    ctl("exec", "tool-000001", "/3303/0/5605")
    ctl("attributes", "tool-000001", "/3303/0/5700", "pmin=1", "pmax=100")
    assert "pmin=1" in ctl("discover", "tool-000001", "/3303/0/5700").stdout


def follow(place, *arguments):
    return subprocess.Popen([shoal.program("shoalctl"), "--url", f"http://127.0.0.1:{place.http_port}", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def test_create_tells_the_path_of_the_instance_and_delete_takes_it(place):
    import coap_peer
    with coap_peer.Device(place.coap_port) as d:
        d.register()
        with follow(place, "create", d.endpoint, "/3303", "5701=Cel") as process:
            request = d.serve_one("2.01", options=[(coap_peer.LOCATION_PATH, b"3303"), (coap_peer.LOCATION_PATH, b"7")])
            assert (request.code, request.path) == (coap_peer.POST, "/3303") and b"Cel" in request.payload
            assert process.communicate(timeout=10) == ("/3303/7\n", "") and process.returncode == 0
        with follow(place, "delete", d.endpoint, "/3303/7") as process:
            request = d.serve_one("2.02")
            assert (request.code, request.path) == (coap_peer.DELETE, "/3303/7")
            assert process.communicate(timeout=10) == ("", "") and process.returncode == 0
        assert d.deregister().text == "2.02"


def test_observe_follows_until_it_is_interrupted(place, ctl):
    ctl("attributes", "tool-000003", "/3303/0/5700", "pmax=1")
    with follow(place, "observe", "tool-000003", "/3303/0/5700") as process:
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.wait(5)
    assert all(float(line.split()[1]) for line in lines), lines
    ctl("cancel", "tool-000003", "/3303/0/5700")


def test_events_are_followed_over_a_restart_of_the_server(start):
    import coap_peer
    daemon = start()
    with coap_peer.Device(daemon.coap_port) as d, \
            follow(daemon, "events", "--since", "0", "--json") as process:
        d.register()
        names = [json.loads(process.stdout.readline())["event"]]
        daemon.kill()
        time.sleep(0.2)
        daemon.start()
        assert d.update("lt=77").text == "2.04"
        names.append(json.loads(process.stdout.readline())["event"])
        process.send_signal(signal.SIGINT)
        process.wait(5)
    assert names == ["REGISTRATION", "UPDATED"]


def test_exit_codes_tell_who_said_no(ctl, folder):
    assert "nobody" in ctl("read", "nobody", "/3", code=1).stderr
    ctl("read", "tool-000001", "/3/0/999", code=1)
    ctl("read", "tool-000001", code=2)
    ctl("frobnicate", code=2)
    result = shoal.run("shoalctl", "--url", f"http://127.0.0.1:{shoal.free_port()}", "list")
    assert result.returncode == 3, result


def test_a_fleet_over_a_network_that_loses_a_fifth_is_managed(start):
    daemon = start("--coap-ack-timeout", "200ms")
    result = shoal.run("shoal-sim", "--server", f"coap://[::1]:{daemon.coap_port}", "--count", "30", "--rate", "0", "--loss",
                       "20", "--seed", "7", "--duration", "8s", "--stay", "--json", timeout=60)
    summary = json.loads(result.stdout)
    assert summary["datagramsLost"] > 0 and summary["registered"] >= 25, summary
    assert len(daemon.get("/api/clients").json) >= summary["registered"]
