# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""What the figures share: the build, the processes, what the kernel knows of them, and how load is put on them.

Nothing outlives the run: every process is killed by the kernel should this one die, stores lie in a directory that
is removed, and ports are whatever the kernel gives.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
READY = re.compile(r' ready .*coap="[^"]*:(\d+)" dtls="[^"]*:(\d+)" http="[^"]*:(\d+)" devices=(\d+)')
START_TIMEOUT = 60


class Failure(Exception):
    """The figure cannot be had."""


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def die_with_parent():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# ---- build ----

def build():
    """The folder with the programs: SHOAL_BUILD, or a release build that is brought up to date."""
    if os.environ.get("SHOAL_BUILD"):
        return pathlib.Path(os.environ["SHOAL_BUILD"]).resolve()
    folder, log = ROOT / "build/bench", ROOT / "build/logs/bench-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    commands = [["ninja", "-C", folder]]
    if not (folder / "build.ninja").exists():
        commands.insert(0, ["meson", "setup", folder, "--buildtype=release", "-Dtests=false", "-Dbench=true"])
    with open(log, "w") as out:
        for command in commands:
            if subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode:
                raise Failure(f"the build failed: {log}")
    return folder


def describe(folder):
    """Where and of what figures are taken, for whoever reads them later."""
    def output(*command):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()

    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())[1]) >> 20
    changed = " and changes that are not committed" if output("git", "status", "--porcelain", "-uno", "src") else ""
    say(f"command: {' '.join(sys.argv)}")
    say(f"machine: {os.cpu_count()} x {cpu}, {memory} GiB, {output('uname', '-sr')}, {os_name()}")
    say(f"disk: {output('df', '--output=fstype,source', str(folder)).splitlines()[-1]}")
    say(f"commit: {output('git', 'rev-parse', '--short=12', 'HEAD')}{changed}; {time.strftime('%Y-%m-%d %H:%M:%S%z')}")
    say(f"programs: {folder} ({build_type(folder)})")
    load = os.getloadavg()[0]
    say(f"load average: {load:.1f}" + (" - others are at work here: the figures are noisy" if load > 0.5 else ""))


def os_name():
    with contextlib.suppress(OSError):
        return re.search(r'PRETTY_NAME="(.*)"', open("/etc/os-release").read())[1]
    return "?"


def build_type(folder):
    with contextlib.suppress(OSError):
        text = (folder / "meson-info/intro-buildoptions.json").read_text()
        return re.search(r'"name": "buildtype", "value": "(\w+)"', text)[1]
    return "?"


# ---- processes ----

class Server:
    """shoald on free ports, with a store in `folder`."""

    def __init__(self, programs, folder):
        self.folder = folder
        command = [programs / "src/daemon/shoald", "--coap-listen", "[::]:0", "--dtls-listen", "[::]:0",
                   "--dtls-hello-rate", "0", "--http-listen", "127.0.0.1:0", "--http-body-max", "64M", "--store-url", f"lmdb:{folder}/store", "--lwm2m-devices-max", "4000000"]
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, cwd=folder, preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.lines = []
        self.ready = threading.Event()
        self.found = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_TIMEOUT) or not self.found:
            self.kill()
            raise Failure("shoald did not start:\n" + "".join(self.lines[-20:]))
        self.start_ms = (self.ready_at - began) * 1000
        self.port, self.dtls_port, self.http_port, self.devices = (int(x) for x in self.found.groups())

    def _read(self):
        for line in self.process.stderr:
            if not self.found:
                self.found = READY.search(line)
                if self.found:
                    self.ready_at = time.monotonic()
                    self.ready.set()
            self.lines.append(line)
            del self.lines[:-50]
        self.ready.set()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("shoald did not stop") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def secure(self):
        """The same server, by its port for DTLS."""
        return Secure(self)

    def import_credentials(self, rows):
        """Rows of endpoint, mode, identity, key."""
        text = "endpoint,mode,identity,key\n" + "".join(",".join(row) + "\n" for row in rows)
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/api/security/clients/import", text.encode(),
                                         {"Content-Type": "text/csv"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            report = json.load(answer)
        if report["refused"]:
            raise Failure(f"credentials were refused: {report['refused'][0]}")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=30) as answer:
            page = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+]+)$", page, re.MULTILINE)}


class Secure:
    """What `offer` needs of a server, by DTLS."""

    def __init__(self, server):
        self.server, self.pid, self.port, self.metrics = server, server.pid, server.dtls_port, server.metrics


class Echo:
    """The reference."""

    def __init__(self, programs):
        self.process = subprocess.Popen([programs / "bench/bench-echo"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.port = int(self.process.stdout.readline() or 0)
        if not self.port:
            raise Failure("bench-echo did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Load:
    """The generator, and one command after the other."""

    def __init__(self, programs):
        self.process = subprocess.Popen([programs / "bench/bench-load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1, preexec_fn=die_with_parent)
        self.port = int(self._answer("start")["port"])

    def _answer(self, command):
        line = self.process.stdout.readline().strip()
        if not line.startswith("ok"):
            raise Failure(f"generator: {command}: {line or 'it ended'}")
        return {name: int(value) for name, value in (word.split("=") for word in line.split()[1:])}

    def __call__(self, command):
        try:
            self.process.stdin.write(command + "\n")
        except OSError:
            raise Failure(f"generator: {command}: it ended") from None
        return self._answer(command)

    def aim(self, at):
        self(f"{'echo' if isinstance(at, Echo) else 'shoald'} {at.port} {at.pid}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- what the kernel knows ----

def memory_bytes(pid):
    """{"RssAnon": ..., "RssFile": ...}"""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: int(kib) * 1024 for name, kib in re.findall(r"^(Rss\w+):\s+(\d+) kB", text, re.MULTILINE)}


def thread_ns(pid):
    """CPU of the main thread, and of all others together."""
    main = others = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            ns = int((task / "schedstat").read_text().split()[0])
            if task.name == str(pid):
                main = ns
            else:
                others += ns
    return main, others


def user_share(pid):
    """(user, kernel) clock ticks"""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def machine_ns():
    """CPU that anybody used since the machine started, all processors together."""
    user, nice, system, _, _, irq, softirq = (int(x) for x in open("/proc/stat").readline().split()[1:8])
    return (user + nice + system + irq + softirq) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def dropped(*ports):
    """Datagrams that the kernel threw away because the socket's buffer was full, one number for each port."""
    found = {}
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError):
            for line in open(table).readlines()[1:]:
                fields = line.split()
                found[int(fields[1].rpartition(":")[2], 16)] = int(fields[-1])
    return [found.get(port, 0) for port in ports]


# ---- credentials of the generator's devices (secure.h) ----

KEY = b"bench of a fleet"


def endpoint(device):
    return f"urn:imei:{device:015}"


def psk_rows(count):
    return [(endpoint(i), "psk", endpoint(i), KEY.hex()) for i in range(count)]


def raw_key_rows(programs, count):
    """shoal-sim derives keys as the generator does, under names of its own."""
    written = subprocess.run([programs / "src/sim/shoal-sim", "--count", str(count), "--prefix", "bench", "--raw-keys", KEY.hex(),
                              "--write-credentials", "-"], capture_output=True, text=True)
    if written.returncode:
        raise Failure(written.stderr)
    keys = [line.split(",")[3] for line in written.stdout.splitlines()[1:]]
    return [(endpoint(i), "rpk", "", key) for i, key in enumerate(keys)]


# ---- a figure's surroundings ----

def clean_up():
    """Removes the folders of a run that was killed. No other runs now."""
    for left in (ROOT / "build").glob("bench-*/"):
        shutil.rmtree(left, ignore_errors=True)


class Stage:
    """Programs and a folder for one figure; all of it is gone afterwards."""

    def __init__(self, programs):
        self.programs = programs
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        # Where the build is, is a disk; /tmp often is none, and then fdatasync would cost nothing.
        place = ROOT / "build"
        place.mkdir(exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=place))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(self, *unused):
        self.stack.close()

    def _keep(self, process):
        self.stack.callback(process.kill)
        return process

    def server(self, name="a"):
        """Starts one, or starts it again on the store of the same name."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return self._keep(Server(self.programs, folder))

    def echo(self):
        return self._keep(Echo(self.programs))

    def load(self):
        return self._keep(Load(self.programs))


class Sample:
    """What one offer came to."""

    def __init__(self, offered, tally, answered, others, threads=None, ticks=None, drops=(0, 0), store=None):
        self.offered, self.tally, self.answered, self.others = offered, tally, answered, others
        self.threads, self.ticks, self.drops, self.store = threads, ticks, drops, store

    @property
    def served(self):
        """Answers to messages that nothing waits for any more are the server's work, too."""
        return max(self.answered + self.tally["stray"], 1)

    @property
    def cpu_us(self):
        return self.tally["server_cpu_ns"] / 1000 / self.served

    @property
    def good(self):
        """99 in 100 were answered, and within 200 ms: nothing piles up."""
        return self.answered >= 0.99 * self.offered and self.tally["p99_ns"] < 200e6 and not self.tally["refused"]

    @property
    def generator_failed(self):
        return self.tally["own_cpu_ns"] > 0.9 * self.tally["wall_ns"]

    def __str__(self):
        t, n = self.tally, self.served
        text = (f"offered {self.offered}, sent {t['sent']}, answered {self.answered}, refused {t['refused']}, "
                f"late {t['stray']}, dropped at server {self.drops[0]}, at generator {self.drops[1]}; "
                f"{self.cpu_us:.2f} us of CPU each, {100 * t['server_cpu_ns'] / t['wall_ns']:.0f} % of a processor")
        if self.threads:
            text += (f"; main thread {self.threads[0] / n / 1000:.2f} us, pool {self.threads[1] / n / 1000:.2f} us, "
                     f"{100 * self.ticks[1] / max(sum(self.ticks), 1):.0f} % in the kernel")
        if self.store and self.store[0]:
            text += f"; {self.store[0]} commits of {self.store[1] / self.store[0]:.1f} writes"
        if t["p50_ns"]:
            text += f"; answer after {t['p50_ns'] / 1e6:.1f} ms (p50), {t['p99_ns'] / 1e6:.1f} (p99), {t['max_ns'] / 1e6:.1f} (max)"
        return text + (f"; generator {100 * t['own_cpu_ns'] / t['wall_ns']:.0f} % of a processor, late by {t['lag_ns'] / 1e6:.1f} ms; "
                       f"others {100 * self.others:.0f} % of the machine")


# What shoald counts of operations that it answers with nothing.
SILENT = {"notify-non": "shoal_notifications_total"}


def offer(load, target, operation, rate, seconds, burst):
    """One offer to shoald or to the echo."""
    shoald = not isinstance(target, Echo)
    load.aim(target)
    before = target.metrics() if shoald else {}
    drops = dropped(target.port, load.port)
    threads, ticks, busy = thread_ns(target.pid), user_share(target.pid), machine_ns()
    tally = load(f"offer {operation} {rate:.0f} {seconds} {burst}")
    busy = machine_ns() - busy - tally["server_cpu_ns"] - tally["own_cpu_ns"]
    others = max(busy / tally["wall_ns"] / os.cpu_count(), 0)
    threads = [now - then for now, then in zip(thread_ns(target.pid), threads)]
    ticks = [now - then for now, then in zip(user_share(target.pid), ticks)]
    drops = [now - then for now, then in zip(dropped(target.port, load.port), drops)]
    if not shoald:
        return Sample(int(rate * seconds), tally, tally["answered"], others, drops=drops)
    after = target.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    answered = int(grown[SILENT[operation]]) if operation in SILENT else tally["answered"]
    return Sample(int(rate * seconds), tally, answered, others, threads, ticks, drops,
                  (int(grown["shoal_store_commits_total"]), grown["shoal_store_writes_total"]))


def median(values):
    return statistics.median(values)
