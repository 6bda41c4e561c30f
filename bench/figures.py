# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The figures: how each is taken. README.md says what they mean."""

import functools
import os
import signal
import subprocess
import time

import harness
from harness import Failure, median, offer, say

NOISY = 0.1  # of the machine, taken by others


class Figures:
    """Takes figures; what several of them need is measured once."""

    def __init__(self, programs, settings):
        self.programs, self.settings = programs, settings

    # ---- an operation on shoald and on the echo ----

    def saturation(self, load, server, operation):
        """The highest rate that is served, by ever larger steps, then halves of the last one."""
        set = self.settings
        good, bad = 0, None
        rate = set.first_rate
        while bad is None or bad > good * set.precision:
            sample = offer(load, server, operation, rate, set.step_s, set.burst)
            if not sample.good:  # once more: something else may have run
                sample = offer(load, server, operation, rate, set.step_s, set.burst)
            say(f"{operation}, {rate:.0f}/s: {sample}")
            if sample.good:
                good = rate
            else:
                bad = rate
                if sample.generator_failed:
                    say(f"{operation}: the generator, not the server, is at its end")
            if rate < 100 or rate > 1e6:
                raise Failure(f"{operation}: no rate is served")
            rate = (good + bad) / 2 if good and bad else bad / 2 if bad else good * set.growth
        return good

    def measure(self, load, server, echo, operation, rate, pairs):
        """CPU in microseconds of shoald and of the echo (None: there is none) at a rate."""
        set, samples = self.settings, []
        for _ in range(pairs):
            # One after the other, so that what slows the machine for a while slows both.
            for target in filter(None, (server, echo)):
                sample = offer(load, target, operation, rate, set.seconds, set.burst)
                samples.append((target, sample))
                say(f"{operation}, {rate:.0f}/s, {'echo' if target is echo else 'shoald'}: {sample}")
        noise = max(sample.others for _, sample in samples)
        if noise > NOISY:
            say(f"{operation}: others took up to {100 * noise:.0f} % of the machine, so this is no figure to quote")
        return [median([sample.cpu_us for of, sample in samples if of is target]) if target else None
                for target in (server, echo)]

    def prepare(self, stage, name, devices, observed=False):
        """A server with an empty store, with devices and observations as wanted, and a generator that talks to it."""
        server, load = stage.server(name), stage.load()
        load.aim(server)
        load(f"rest {server.http_port} {self.settings.connections}")
        if devices:
            load(f"register {devices}")
        if observed:
            load("observe")
        return server, load

    @functools.cache
    def operation(self, operation, devices, observed=False):
        """{"rate": where it saturates, "half": CPU of (shoald, echo) at half of that, "full": ... at all of it}"""
        set = self.settings
        with harness.Stage(self.programs) as stage:
            echo = stage.echo() if operation != "read" else None
            server, load = self.prepare(stage, "a", devices, observed)
            rate = self.saturation(load, server, operation)
            if not devices:
                # The search has left it with all the devices that it registered.
                server.kill()
                server, load = self.prepare(stage, "b", devices, observed)
            found = {"rate": rate, "half": self.measure(load, server, echo, operation, rate / 2, set.pairs),
                     "full": self.measure(load, server, echo, operation, rate, 1)}
            if set.perf:
                self.profile(load, server, operation, rate / 2)
        say(f"{operation}: served up to {rate:.0f}/s")
        for name, part in (("half", rate / 2), ("full", rate)):
            shoald, reference = found[name]
            say(f"{operation}, {name} load, {part:.0f}/s: shoald {shoald:.2f} us" +
                (f", echo {reference:.2f} us, ratio {shoald / reference:.2f}" if reference else ""))
        return found

    def profile(self, load, server, operation, rate):
        """One more offer, under perf; the measured ones are not disturbed."""
        path = f"{self.settings.perf}.{operation}"
        perf = subprocess.Popen(["perf", "record", "-q", "-F", "4999", "-g", "--call-graph", "fp", "-o", path, "-p", str(server.pid)],
                                stdin=subprocess.DEVNULL)
        time.sleep(0.5)
        offer(load, server, operation, rate, self.settings.seconds, self.settings.burst)
        perf.send_signal(signal.SIGINT)
        perf.wait()
        say(f"{operation}: perf report -i {path} --sort comm,dso,symbol --no-children")

    def ratio(self, *arguments, **more):
        shoald, echo = self.operation(*arguments, **more)["half"]
        return shoald / echo

    def update(self):
        return self.operation("update", self.settings.devices)

    def echo_cpu_us(self):
        return self.update()["half"][1]

    def update_cpu_us(self):
        return self.update()["half"][0]

    def update_cpu_ratio(self):
        return self.ratio("update", self.settings.devices)

    def register_cpu_ratio(self):
        return self.ratio("register", 0)

    def notify_con_cpu_ratio(self):
        return self.ratio("notify-con", self.settings.devices, observed=True)

    def notify_non_cpu_ratio(self):
        return self.ratio("notify-non", self.settings.devices, observed=True)

    def rest_read_cpu_us(self):
        return self.operation("read", self.settings.devices)["half"][0]

    # ---- many devices ----

    @functools.cache
    def update_by_devices(self):
        """CPU per Update with few and with many devices, at the same rate, in turns."""
        set = self.settings
        rate = self.update()["rate"] / 2
        with harness.Stage(self.programs) as stage:
            pairs = []
            for name, count in (("few", set.few), ("many", set.many)):
                pairs.append((count, *self.prepare(stage, name, count), []))
            for _ in range(set.pairs):
                for count, server, load, found in pairs:
                    sample = offer(load, server, "update", rate, set.seconds, set.burst)
                    say(f"update, {count} devices, {rate:.0f}/s: {sample}")
                    found.append(sample.cpu_us)
            return [median(found) for _, _, _, found in pairs]

    def update_cpu_us_1k(self):
        return self.update_by_devices()[0]

    def update_cpu_us_100k(self):
        return self.update_by_devices()[1]

    @functools.cache
    def many_devices(self):
        """Memory of a server with many devices, and how long it takes to start with them."""
        set = self.settings
        with harness.Stage(self.programs) as stage:
            server, load = stage.server(), stage.load()
            load.aim(server)
            time.sleep(set.settle_s)
            memory = [harness.memory_bytes(server.pid)]
            for count in (set.many // 2, set.many):
                load(f"register {count}")
                time.sleep(set.settle_s)
                memory.append(harness.memory_bytes(server.pid))
            anonymous = [m["RssAnon"] for m in memory]
            mapped = [m["RssFile"] + m["RssShmem"] for m in memory]
            say(f"memory, {set.many} devices of two links: RssAnon {anonymous[0] >> 10} KiB before, {anonymous[2] >> 10} after; "
                f"{(anonymous[2] - anonymous[1]) / (set.many - set.many // 2):.0f} bytes for each of the second half; mapped "
                f"{(mapped[2] - mapped[0]) / set.many:.0f} bytes each ({mapped[2] >> 20} MiB), given back when others need it; "
                f"the store's file has {server.metrics()['shoal_store_file_bytes'] / set.many:.0f} bytes each")
            load.kill()
            starts = []
            for end in ["stop"] * set.pairs + ["kill"]:
                # After `kill` nothing was written at the end, and the journal has to be read again.
                getattr(server, end)()
                server = stage.server()
                if server.devices != set.many:
                    raise Failure(f"{server.devices} devices are there after a start, not {set.many}")
                starts.append(server.start_ms)
                say(f"start with {set.many} devices after {'an orderly end' if end == 'stop' else 'kill -9'}: {server.start_ms:.0f} ms")
            return (anonymous[2] - anonymous[0]) / set.many, median(starts[:-1])

    def bytes_per_device_plain(self):
        return self.many_devices()[0]

    def start_100k_ms(self):
        return self.many_devices()[1]

    # ---- DTLS ----

    def prepare_secure(self, stage, name, rows):
        """A server that knows these devices, and a generator that plays them."""
        server, load = stage.server(name), stage.load()
        server.import_credentials(rows)
        load.aim(server.secure())
        load(f"secure {1 if rows[0][1] == 'psk' else 2}")
        return server, load

    @functools.cache
    def update_by_transport(self):
        """CPU per Update, plain and by DTLS, at the same rate, in turns."""
        set = self.settings
        rate = self.update()["rate"] / 2
        with harness.Stage(self.programs) as stage:
            plain, plain_load = self.prepare(stage, "plain", set.devices)
            server, load = self.prepare_secure(stage, "dtls", harness.psk_rows(set.devices))
            load(f"register {set.devices}")
            found = {"plain": [], "DTLS": []}
            for _ in range(set.pairs):
                for name, which, target in (("plain", plain_load, plain), ("DTLS", load, server.secure())):
                    sample = offer(which, target, "update", rate, set.seconds, set.burst)
                    say(f"update, {name}, {rate:.0f}/s: {sample}")
                    found[name].append(sample.cpu_us)
            if set.perf:
                self.profile(load, server.secure(), "update", rate)
        return median(found["plain"]), median(found["DTLS"])

    def dtls_update_cpu_ratio(self):
        plain, dtls = self.update_by_transport()
        say(f"update: plain {plain:.2f} us, DTLS {dtls:.2f} us")
        return dtls / plain

    def handshake(self, rows, rate):
        """CPU of shoald per handshake, which is all that it does meanwhile; beside it the echo's per datagram."""
        set = self.settings
        with harness.Stage(self.programs) as stage:
            echo = stage.echo()
            server, load = self.prepare_secure(stage, "a", rows)
            load(f"register {len(rows)}")
            shoald, _ = self.measure(load, server.secure(), None, "handshake", rate, set.pairs)
            # The echo has no handshakes: an Update's datagram, at the same rate.
            reference = offer(load, echo, "update", rate, set.seconds, set.burst)
            say(f"update, {rate:.0f}/s, echo: {reference}")
            say(f"handshake, {rate:.0f}/s: {shoald:.2f} us, as much as {shoald / reference.cpu_us:.1f} datagrams of the echo")
            if set.perf:
                self.profile(load, server.secure(), "handshake", rate)
        return shoald

    def dtls_psk_handshake_cpu_us(self):
        return self.handshake(harness.psk_rows(self.settings.few), self.settings.handshakes)

    def dtls_ecdsa_handshake_cpu_us(self):
        return self.handshake(harness.raw_key_rows(self.programs, self.settings.raw_keys), self.settings.certified)

    def bytes_per_device_dtls(self):
        """Memory of a server with many sessions, which are idle."""
        set = self.settings
        with harness.Stage(self.programs) as stage:
            server, load = self.prepare_secure(stage, "a", harness.psk_rows(set.many))
            time.sleep(set.settle_s)
            memory = [harness.memory_bytes(server.pid)["RssAnon"]]
            for count in (set.many // 2, set.many):
                load(f"register {count}")
                time.sleep(set.settle_s)
                memory.append(harness.memory_bytes(server.pid)["RssAnon"])
            after = server.metrics()
            if after["shoal_dtls_associations"] != set.many:
                raise Failure(f"{after['shoal_dtls_associations']:.0f} sessions are there, not {set.many}")
            say(f"memory, {set.many} devices of two links with DTLS: RssAnon {memory[0] >> 10} KiB before, {memory[2] >> 10} after; "
                f"{(memory[2] - memory[1]) / (set.many - set.many // 2):.0f} bytes for each of the second half; "
                f"the store's file has {after['shoal_store_file_bytes'] / set.many:.0f} bytes each")
            return (memory[2] - memory[0]) / set.many

    # ---- codecs ----

    @functools.cache
    def printed(self, what):
        """{name: value} of bench-codec, bench-record or bench-handshake"""
        output = subprocess.run([self.programs / f"bench/bench-{what}"], capture_output=True, text=True)
        if output.returncode:
            raise Failure(output.stderr.strip() or f"bench-{what} failed")
        for line in output.stdout.splitlines():
            say(f"{what}: {line}")
        return {name: float(value) for name, value in map(str.split, output.stdout.splitlines())}

    def senml_cbor_decode_ratio(self):
        return self.printed("codec")["senml_cbor_decode_ns"] / self.printed("codec")["libcbor_stream_ns"]

    def tlv_decode_ns(self):
        return self.printed("codec")["tlv_decode_ns"]

    # ---- records and sessions ----

    def record_seal_ratio(self):
        return self.printed("record")["record_seal_ns"] / self.printed("record")["nettle_seal_ns"]

    def record_open_ratio(self):
        return self.printed("record")["record_open_ns"] / self.printed("record")["nettle_open_ns"]

    def session_move_ratio(self):
        return self.printed("record")["session_move_ns"] / self.printed("record")["chacha_seal_ns"]

    # ---- handshakes ----

    def dtls_psk_library_cpu_us(self):
        return self.printed("handshake")["psk_library_us"]

    def dtls_psk_cpu_us(self):
        return self.printed("handshake")["psk_us"]

    def dtls_ecdsa_library_cpu_us(self):
        return self.printed("handshake")["ecdsa_library_us"]

    def dtls_ecdsa_cpu_us(self):
        return self.printed("handshake")["ecdsa_us"]


# name: unit, what it is. The order is that of the output.
TABLE = {
    "echo_cpu_us": ("us", "CPU of the reference, a UDP echo, per datagram of an Update's size, at the rate of update_cpu_us"),
    "update_cpu_us": ("us", "CPU of shoald per Update that is stored and answered"),
    "update_cpu_ratio": ("ratio", "... to the echo's"),
    "register_cpu_ratio": ("ratio", "CPU per Register of a new device, to the echo's"),
    "notify_con_cpu_ratio": ("ratio", "CPU per confirmable notification that is stored and acknowledged, to the echo's"),
    "notify_non_cpu_ratio": ("ratio", "CPU per non-confirmable notification that is stored, to the echo's"),
    "rest_read_cpu_us": ("us", "CPU per read by REST that a device answers"),
    "update_cpu_us_1k": ("us", "CPU per Update with 1,000 devices"),
    "update_cpu_us_100k": ("us", "... with 100,000, at the same rate"),
    "bytes_per_device_plain": ("bytes", "memory per registered device (RssAnon), of 100,000 with two links"),
    "start_100k_ms": ("ms", "from exec to ready with 100,000 devices in the store"),
    "bytes_per_device_dtls": ("bytes", "memory per registered device with a DTLS session (RssAnon), of 100,000 with two links"),
    "dtls_update_cpu_ratio": ("ratio", "CPU per Update by DTLS with connection ids, to that of a plain Update at the same rate"),
    "dtls_psk_handshake_cpu_us": ("us", "CPU of shoald per handshake by PSK, with all that belongs to it"),
    "dtls_ecdsa_handshake_cpu_us": ("us", "... with raw public keys (P-256) of both sides"),
    "senml_cbor_decode_ratio": ("ratio", "decoding /3/0 in SenML CBOR, to libcbor's stream decoder with empty callbacks"),
    "tlv_decode_ns": ("ns", "decoding /3/0 in TLV"),
    "record_seal_ratio": ("ratio", "protecting a record of 64 bytes by AES_128_CCM_8 with a connection id, to nettle's CCM alone"),
    "record_open_ratio": ("ratio", "opening it, to nettle's CCM alone"),
    "session_move_ratio": ("ratio", "a session encoded, sealed, opened and decoded, to sealing 256 bytes by the same AEAD"),
    "dtls_psk_library_cpu_us": ("us", "CPU of a server for a handshake by PSK, in memory: GnuTLS alone"),
    "dtls_psk_cpu_us": ("us", "... and as shoald makes it, with connection ids"),
    "dtls_ecdsa_library_cpu_us": ("us", "CPU of a server for a handshake by certificates of both sides (P-256), in memory: GnuTLS alone"),
    "dtls_ecdsa_cpu_us": ("us", "... and as shoald makes it, with connection ids"),
}
