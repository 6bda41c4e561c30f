# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""bench/run prints what it says it prints, of operations that were really served, and leaves nothing behind."""

import os
import re
import subprocess

import pytest

import shoal

BENCH = shoal.ROOT / "bench"


def run(*arguments, timeout=120):
    # The figures are worth nothing here: the build under test may be any, and others are at work.
    env = {**os.environ, "SHOAL_BUILD": str(shoal.build_dir())}
    return subprocess.run([BENCH / "run", *arguments], env=env, capture_output=True, text=True, timeout=timeout)


def figures(output):
    lines = output.splitlines()
    found = [re.fullmatch(r"figure (\w+) (\d+\.\d+) (\w+)", line) for line in lines]
    assert all(found), output
    return {match[1]: (float(match[2]), match[3]) for match in found}


def left_behind():
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "/bench-" in line and "store" in line], \
        [path.name for path in (shoal.ROOT / "build").glob("bench-*") if path.is_dir()]


def test_the_list_is_complete():
    listed = run("--list")
    assert listed.returncode == 0
    names = {line.split()[0] for line in listed.stdout.splitlines()}
    text = (BENCH / "README.md").read_text()
    assert names >= {"echo_cpu_us", "update_cpu_ratio", "register_cpu_ratio", "notify_con_cpu_ratio", "bytes_per_device_plain",
                     "start_100k_ms", "record_seal_ratio", "dtls_psk_library_cpu_us"}
    assert [name for name in names if f"`{name}`" not in text] == []


def test_an_unknown_figure_is_refused():
    refused = run("no_such_figure")
    assert refused.returncode == 2
    assert "no such figure: no_such_figure" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("name, unit, low, high", [
    ("update_cpu_ratio", "ratio", 0.1, 1000),
    ("register_cpu_ratio", "ratio", 0.1, 1000),
    ("notify_con_cpu_ratio", "ratio", 0.1, 1000),
    ("notify_non_cpu_ratio", "ratio", 0.1, 1000),
    ("rest_read_cpu_us", "us", 5, 20000),
    ("bytes_per_device_plain", "bytes", 100, 100000),
    ("bytes_per_device_dtls", "bytes", 100, 200000),
    ("dtls_update_cpu_ratio", "ratio", 0.1, 100),
    ("dtls_psk_handshake_cpu_us", "us", 5, 100000),
    ("dtls_ecdsa_handshake_cpu_us", "us", 5, 100000),
    ("senml_cbor_decode_ratio", "ratio", 0.1, 100),
    ("record_seal_ratio", "ratio", 0.5, 10),
    ("record_open_ratio", "ratio", 0.5, 10),
    ("session_move_ratio", "ratio", 0.2, 20),
])
def test_a_figure_is_one_line(name, unit, low, high):
    ended = run("--quick", name)
    assert ended.returncode == 0, ended.stderr
    assert list(figures(ended.stdout)) == [name]
    value, its_unit = figures(ended.stdout)[name]
    assert its_unit == unit and low < value < high
    assert all(line.startswith("#") for line in ended.stderr.splitlines()), ended.stderr
    assert left_behind() == ([], [])


def test_what_a_killed_run_left_goes():
    left = shoal.ROOT / "build/bench-left-behind"
    (left / "store").mkdir(parents=True)
    assert run("tlv_decode_ns").returncode == 0
    assert not left.exists()


def test_several_figures_come_in_the_order_of_the_request():
    names = ["tlv_decode_ns", "senml_cbor_decode_ratio"]
    assert list(figures(run(*names).stdout)) == names


def test_what_is_not_answered_is_not_counted(tmp_path):
    """The generator against a port where nobody listens, with this process as the server whose CPU counts."""
    load = shoal.build_dir() / "bench/bench-load"
    commands = f"echo {shoal.free_port()} {os.getpid()}\noffer register 2000 0.2 1\noffer update 100 0.1 1\nnonsense\n"
    ended = subprocess.run([load], input=commands, capture_output=True, text=True, timeout=30)
    ready, aimed, offered, update, nonsense = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert re.fullmatch(r"ok port=\d+", ready) and aimed == "ok"
    assert " answered=0 refused=0 " in offered
    assert 350 <= int(re.search(r"\bsent=(\d+)", offered)[1]) <= 400
    assert update.startswith("error no device is registered") and nonsense.startswith("error no such command")
