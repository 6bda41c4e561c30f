# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""ACK means stored: shown by the order of system calls, by a sync that fails, and by a disk that is full."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest

import coap_peer
import shoal
from coap_peer import ACK, OBSERVE, RST, TEXT, CON, Device, Message

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and tracing need root")


@contextlib.contextmanager
def strace(pid, *options):
    """strace attached to a running process and all its threads."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        def attached():
            assert tracer.poll() is None, tracer.stderr.read()
            tasks = os.listdir(f"/proc/{pid}/task")
            return all(f"TracerPid:\t{tracer.pid}\n" in open(f"/proc/{pid}/task/{t}/status").read() for t in tasks)
        shoal.wait_until(attached, 10, "strace attached")
        yield tracer
    finally:
        # SIGINT makes it detach and leave the process running.
        if tracer.poll() is None:
            tracer.send_signal(2)
        try:
            tracer.wait(10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()
        tracer.stderr.close()


class Call:
    """One system call: lines of the trace where it began and ended, name, all its text, result."""

    def __init__(self, begin, name, text):
        self.begin, self.end, self.name, self.text, self.result = begin, None, name, text, None


def parse_trace(path):
    calls, open_calls = [], {}
    for number, line in enumerate(open(path, errors="replace")):
        match = re.match(r"(\d+)\s+(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", line)
        if not match:
            continue
        pid, resumed, name, text = match.groups()
        if resumed:
            call = open_calls.pop(pid, None)
            if call is None:
                continue
            call.text += text
        else:
            call = Call(number, name, text)
            calls.append(call)
            if text.endswith("<unfinished ...>"):
                open_calls[pid] = call
                continue
        call.end = number
        call.result = int(m.group(1)) if (m := re.search(r"\)\s+= (-?\d+)", call.text)) else None
    return calls


def hexed(data):
    """As `strace -xx` prints it."""
    return "".join(f"\\x{b:02x}" for b in data)


def answers_head(m, text):
    """The first bytes of the piggy-backed answer to `m`."""
    return bytes([0x60 | len(m.token), coap_peer.code(text)]) + m.mid.to_bytes(2, "big") + m.token


TRACED = "trace=fdatasync,fsync,msync,sync_file_range,pwrite64,pwritev,pwritev2,write,writev,recvmmsg,sendmmsg,sendmsg,sendto"


def acknowledged_messages(daemon, device):
    """Does one of each kind of effect; returns [(what the server sent first of the answer, what the device sent)]."""
    pairs = []

    def effect(m, text):
        assert device.exchange(m).text == text
        pairs.append((answers_head(m, text), m.encode()))

    m = device.register_message()
    answer = device.exchange(m)
    device.location = answer.location
    pairs.append((answers_head(m, "2.01"), m.encode()))
    call = daemon.start_http("POST", f"/api/clients/{device.endpoint}/3303/0/5700/observe?format=TEXT")
    observe = device.serve_one("2.05", b"0", TEXT, [(OBSERVE, b"\x01")])
    assert call.result().status == 200
    effect(device.update_message(["lt=99"]), "2.04")
    for i in range(5):
        sent = device.notify(observe, 2 + i, b"%d" % i)
        assert device.expect(lambda r: r.mid == sent.mid).type == ACK
        pairs.append((b"\x60\x00" + sent.mid.to_bytes(2, "big"), sent.encode()))
    effect(device.update_message([], b"</1/0>,</3/0>"), "2.04")
    effect(device.request(coap_peer.DELETE, device.location), "2.02")
    return pairs


@needs_strace
@needs_root
def test_no_acknowledgement_leaves_before_the_sync_of_its_commit_returned(start, folder):
    daemon = start()
    trace = folder / "trace"
    with Device(daemon.coap_port) as d:
        with strace(daemon.pid, "-xx", "-s", "4096", "-o", str(trace), "-e", TRACED):
            pairs = acknowledged_messages(daemon, d)
    calls = parse_trace(trace)
    sends = [c for c in calls if c.name in ("sendmmsg", "sendmsg", "sendto")]
    receives = [c for c in calls if c.name == "recvmmsg" and c.end is not None]
    syncs = [c for c in calls if c.name in ("fdatasync", "fsync", "msync") and c.result == 0]
    writes = [c for c in calls if c.name in ("pwrite64", "pwritev", "pwritev2", "writev", "write")]
    for ack, cause in pairs:
        # The message id is in both: a receive with the request, then a sync, then the send with the answer.
        send = next(c for c in sends if hexed(ack) in c.text)
        receive = next(c for c in receives if hexed(cause) in c.text)
        between = [s for s in syncs if s.begin > receive.end and s.end < send.begin]
        assert between, f"no sync between the message {cause.hex()} and its acknowledgement"
        written = [w for w in writes if receive.end < w.begin and w.end is not None and w.end < between[-1].begin]
        assert written, f"nothing was written before the sync for {cause.hex()}"


@needs_strace
@needs_root
def test_local_durability_does_not_sync_for_each_message(start, folder):
    daemon = start("--store-durability", "local")
    trace = folder / "trace"
    with Device(daemon.coap_port) as d:
        d.register()
        with strace(daemon.pid, "-o", str(trace), "-e", "trace=fdatasync,fsync,msync"):
            begin = time.monotonic()
            for i in range(200):
                assert d.update(f"lt={100 + i}").text == "2.04"
            seconds = time.monotonic() - begin
            time.sleep(1.5)
    syncs = [c for c in parse_trace(trace) if c.result == 0]
    # Once a second, and what falls on the edges: a sync may be two calls.
    assert len(syncs) <= 2 * (seconds + 1.5 + 2), f"{len(syncs)} syncs in {seconds:.1f} s"
    assert syncs, "local durability still syncs once a second"


def ack_or_none(device, m, seconds=1.0):
    device.send(m)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        r = device.receive(left)
        if r is not None and r.mid == m.mid and r.type in (ACK, RST):
            return r
    return None


@needs_strace
@needs_root
def test_when_the_sync_fails_nothing_is_acknowledged_any_more_and_reads_go_on(start):
    daemon = start()
    with Device(daemon.coap_port) as good, Device(daemon.coap_port) as late:
        good.register()
        call = daemon.start_http("POST", f"/api/clients/{good.endpoint}/3303/0/5700/observe?format=TEXT")
        observation = good.serve_one("2.05", b"0", TEXT, [(OBSERVE, b"\x01")])
        assert call.result().status == 200
        with daemon.events() as events:
            good.update("lt=1000")
            mark = events.wait("UPDATED").id
        with strace(daemon.pid, "-o", "/dev/null", "-e", "trace=fdatasync,fsync,msync",
                    "-e", "inject=fdatasync,fsync,msync:error=EIO"):
            assert ack_or_none(late, late.register_message()) is None
            assert ack_or_none(good, good.update_message(["lt=2000"])) is None
            assert ack_or_none(good, good.notify(observation, 2, b"1"), 0.5) is None
            # What only reads goes on.
            assert daemon.client(late.endpoint) is None
            assert daemon.client(good.endpoint)["lifetime"] == 1000
            assert ack_or_none(good, Message(CON, 0)).type == RST
            read = daemon.start_http("GET", f"/api/clients/{good.endpoint}/3/0/0")
            good.serve_one("2.05", b"acme", TEXT)
            assert read.result().json["content"]["value"] == "acme"
        # The disk is fine again, but what it holds is not known: that does not make acknowledgements come back.
        assert ack_or_none(late, late.register_message()) is None
        ready = daemon.get("/readyz")
        assert ready.status == 503 and "commit failed" in ready.text, ready
        assert daemon.get("/healthz").status == 200
        assert re.search(r" error store-failed .*Input/output error", daemon.log), daemon.log[-2000:]
        daemon.kill()
        daemon.start()
        assert daemon.get("/readyz").status == 200
        assert daemon.client(good.endpoint)["lifetime"] in (1000, 2000)
        late.register()
        assert good.update("lt=3000").text == "2.04"
        with daemon.events(last_id=mark) as events:
            # What was never acknowledged may be there or not, but once at most.
            events.wait(lambda e: e.name == "UPDATED" and e.data["update"].get("lifetime") == 3000)
            updates = [e.data["update"].get("lifetime") for e in events.seen if e.name == "UPDATED"]
            assert updates in ([3000], [2000, 3000])


@contextlib.contextmanager
def small_disk(folder, size):
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


BIG = b"</1/0>" + b"".join(b",</3303/%d>" % i for i in range(80))


@needs_root
def test_a_full_disk_stops_acknowledgements_not_reads_and_room_brings_them_back(folder):
    with small_disk(folder, "64m") as disk, \
            shoal.Daemon(folder, "--store-size-max", "8M", store=f"lmdb:{disk}/data") as daemon, \
            Device(daemon.coap_port) as d, Device(daemon.coap_port) as other:
        d.register(links=BIG)
        other.register()
        with daemon.events() as events:
            other.update("lt=1234")
            mark = events.wait("UPDATED").id
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(b"\xff" * 65536) == 65536:
                pass
        acknowledged, refused = [], None
        for i in range(3000):
            m = d.update_message([f"lt={2000 + i}"], BIG)
            if ack_or_none(d, m) is None:
                refused = m, 2000 + i
                break
            acknowledged.append(2000 + i)
        assert refused, "the disk never was full"
        assert ack_or_none(other, other.update_message(["lt=77"], BIG), 0.5) is None
        # Reads go on, of what is stored and of the device.
        assert daemon.client(other.endpoint)["lifetime"] == 1234
        assert daemon.get("/healthz").status == 200
        read = daemon.start_http("GET", f"/api/clients/{other.endpoint}/3/0/0")
        other.serve_one("2.05", b"acme", TEXT)
        assert read.result().json["content"]["value"] == "acme"
        assert " error store-full " in daemon.log, daemon.log[-2000:]
        assert daemon.get("/readyz").status == 200
        filler.unlink()
        # The device retransmits, as devices do; now it is taken, and once.
        shoal.wait_until(lambda: ack_or_none(d, refused[0]) is not None, 15, "acknowledged again")
        acknowledged.append(refused[1])
        for i in range(5):
            assert d.update(f"lt={9000 + i}").text == "2.04"
            acknowledged.append(9000 + i)
        daemon.kill()
        daemon.start()
        assert daemon.client(d.endpoint)["lifetime"] == 9004
        with daemon.events(last_id=mark) as events:
            events.wait(lambda e: e.data["update"].get("lifetime") == 9004, 20)
            mine = [e.data["update"].get("lifetime") for e in events.seen
                    if e.data["registration"]["endpoint"] == d.endpoint]
            assert mine == acknowledged


def test_a_store_at_its_size_limit_stops_acknowledgements_and_goes_on_with_a_higher_limit(start):
    daemon = start("--store-size-max", "1M")
    acknowledged = []
    with Device(daemon.coap_port) as d:
        for i in range(2000):
            d.endpoint = f"fills-{i}"
            if ack_or_none(d, d.register_message(links=BIG)) is None:
                break
            acknowledged.append(d.endpoint)
        assert 10 < len(acknowledged) < 2000
        assert sorted(r["endpoint"] for r in daemon.get("/api/clients").json) == sorted(acknowledged)
        assert daemon.get("/healthz").status == 200
        assert "No space left on device" in daemon.log, daemon.log[-2000:]
        daemon.kill()
        daemon.options[daemon.options.index("1M")] = "64M"
        daemon.start()
        assert sorted(r["endpoint"] for r in daemon.get("/api/clients").json) == sorted(acknowledged)
        d.register(links=BIG)
