# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""A DTLS 1.2 client with connection ids whose every datagram the test chooses.

Written for the tests alone, from RFC 5246, 6347, 7627 (extended master secret), 6655 (CCM_8) and 9146, and sharing no
code with the server: an error would have to be made twice to hide. No packaged library has RFC 9146, so this is the
only stranger that the server's connection ids meet.

One suite: TLS_PSK_WITH_AES_128_CCM_8. It takes record numbers in any order, and remembers all that it saw: two
different records under one number fail the test at once, since that is a nonce used twice.
"""

import collections
import hashlib
import hmac
import os
import random
import select
import socket
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

CCS, ALERT, HANDSHAKE, APPLICATION, TLS12_CID = 20, 21, 22, 23, 25
CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST = 1, 2, 3
SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, FINISHED = 12, 14, 16, 20
WARNING, FATAL = 1, 2
CLOSE_NOTIFY, HANDSHAKE_FAILURE, DECRYPT_ERROR, NO_RENEGOTIATION, UNKNOWN_PSK_IDENTITY = 0, 40, 51, 100, 115
EXTENDED_MASTER_SECRET, CONNECTION_ID = 23, 54
PSK_CCM_8 = 0xC0A8
DTLS_1_0, DTLS_1_2 = b"\xfe\xff", b"\xfe\xfd"
TERM_BITS = 28


class Alert(Exception):
    """A fatal alert of the server during the handshake."""

    def __init__(self, description):
        super().__init__(f"alert {description}")
        self.description = description


class NoAnswer(Exception):
    """The handshake was not completed in time."""


def prf(secret, label, seed, length):
    """RFC 5246, 5, with SHA-256"""
    seed, a, out = label + seed, label + seed, b""
    while len(out) < length:
        a = hmac.digest(secret, a, "sha256")
        out += hmac.digest(secret, a + seed, "sha256")
    return out[:length]


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def number_of(epoch, seq):
    return struct.pack(">HHI", epoch, seq >> 32, seq & 0xFFFFFFFF)


class Keys:
    """One direction of epoch 1."""

    def __init__(self, key, iv):
        self.aead, self.iv = AESCCM(key, tag_length=8), iv

    @staticmethod
    def additional(type, number, cid, length):
        if type == TLS12_CID:
            return (b"\xff" * 8 + bytes([TLS12_CID, len(cid), TLS12_CID]) + DTLS_1_2 + number + cid
                    + length.to_bytes(2, "big"))
        return number + bytes([type]) + DTLS_1_2 + length.to_bytes(2, "big")

    def seal(self, type, content, epoch, seq, cid=b"", padding=0):
        number = number_of(epoch, seq)
        inner = content + bytes([type]) + bytes(padding) if cid else content
        outer = TLS12_CID if cid else type
        text = self.aead.encrypt(self.iv + number, inner, self.additional(outer, number, cid, len(inner)))
        return bytes([outer]) + DTLS_1_2 + number + cid + vector(2, number + text)

    def open(self, record):
        """(type, content), or None if it is not authentic."""
        explicit, text = record.fragment[:8], record.fragment[8:]
        if len(text) < 8:
            return None
        additional = self.additional(record.type, number_of(record.epoch, record.seq), record.cid, len(text) - 8)
        try:
            inner = self.aead.decrypt(self.iv + explicit, text, additional)
        except InvalidTag:
            return None
        if record.type != TLS12_CID:
            return record.type, inner
        inner = inner.rstrip(b"\0")
        return inner[-1], inner[:-1]


class Record:
    def __init__(self, type, version, epoch, seq, cid, fragment):
        self.type, self.version, self.epoch, self.seq = type, version, epoch, seq
        self.cid, self.fragment = cid, fragment


def records_of(datagram, cid_len):
    """All records of a datagram, which has to be well-formed: it is the server's."""
    at = 0
    while at < len(datagram):
        type, version = datagram[at], datagram[at + 1:at + 3]
        epoch, high, low = struct.unpack_from(">HHI", datagram, at + 3)
        at += 11
        cid = datagram[at:at + cid_len] if type == TLS12_CID else b""
        at += len(cid)
        length, = struct.unpack_from(">H", datagram, at)
        fragment = datagram[at + 2:at + 2 + length]
        assert len(fragment) == length and version in (DTLS_1_0, DTLS_1_2), datagram.hex()
        at += 2 + length
        yield Record(type, version, epoch, high << 32 | low, cid, fragment)


class Faults:
    """What the network does to datagrams, both ways; the same again for the same seed."""

    def __init__(self, seed=0, lose=0.0, duplicate=0.0, shuffle=False):
        self.random = random.Random(seed)
        self.lose, self.duplicate, self.shuffle = lose, duplicate, shuffle
        self.lost = self.duplicated = 0

    def outgoing(self, datagrams):
        out = []
        for datagram in datagrams:
            out += self.incoming(datagram)
        if self.shuffle:
            self.random.shuffle(out)
        return out

    def incoming(self, datagram):
        if self.random.random() < self.lose:
            self.lost += 1
            return []
        if self.random.random() < self.duplicate:
            self.duplicated += 1
            return [datagram, datagram]
        return [datagram]


class Lossy(Faults):
    """Loses the datagrams for which a predicate holds, at most `times` of each direction; holds them in `held`."""

    def __init__(self, out=lambda d: False, into=lambda d: False, times=1):
        super().__init__()
        self.rules = {"out": [out, times], "in": [into, times]}
        self.held = []

    def _keep(self, direction, datagram):
        rule = self.rules[direction]
        if rule[1] > 0 and rule[0](datagram):
            rule[1] -= 1
            self.held.append(datagram)
            return []
        return [datagram]

    def outgoing(self, datagrams):
        for datagram in datagrams:  # one by one: the predicate may do something in between
            yield from self._keep("out", datagram)

    def incoming(self, datagram):
        return self._keep("in", datagram)


def has_record(type, epoch=None):
    """A predicate for Lossy: the datagram begins with such a record, or contains it after plain ones."""
    def check(datagram):
        at = 0
        while at + 13 <= len(datagram):
            this, this_epoch = datagram[at], int.from_bytes(datagram[at + 3:at + 5], "big")
            if this == type and epoch in (None, this_epoch):
                return True
            if this == TLS12_CID:
                return False
            at += 13 + int.from_bytes(datagram[at + 11:at + 13], "big")
        return False
    return check


class Client:
    """A socket, and the session on it. `cid`: what the server shall put into records to us; None: not offered."""

    def __init__(self, port, identity, key, host="127.0.0.1", cid=b"", fragment=None, faults=None, interval=0.3,
                 extended_master_secret=True):
        self.server, self.host = (host, port), host
        self.identity = identity.encode() if isinstance(identity, str) else identity
        self.key = key
        self.offered_cid, self.own_cid, self.peer_cid = cid, b"", b""
        self.fragment, self.faults, self.interval = fragment, faults or Faults(), interval
        self.want_extended = extended_master_secret
        self.sockets = []
        self.rebind()
        self.random = os.urandom(32)
        self.hello_random = self.master = None
        self.write_seq = [0, 0]
        self.write_keys = self.read_keys = None
        self.next_message, self.partial, self.messages = 0, {}, collections.deque()
        self.application, self.alerts = collections.deque(), []
        self.received, self.numbers = {}, []  # number -> record; the numbers of epoch 1 in order of arrival
        self.waiting = []                     # epoch-1 records that came before the keys
        self.handshakes, self.retransmissions, self.unauthentic = 0, 0, 0
        self.sent = []                        # every datagram, before the network had it
        self.extended = False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        for s in self.sockets:
            s.close()

    # ---- datagrams ----

    def rebind(self, port=0):
        """Another port from now on. The old socket stays open, so that nobody else gets its port."""
        s = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((self.host, port))
        self.sockets.append(s)
        return self.port

    @property
    def socket(self):
        return self.sockets[-1]

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def send_datagrams(self, datagrams):
        self.sent += datagrams
        for datagram in self.faults.outgoing(datagrams):
            self.socket.sendto(datagram, self.server)

    def send_raw(self, datagram, from_port=None):
        """Past all faults and records; from another socket of ours if `from_port` says so."""
        s = next(s for s in self.sockets if from_port in (None, s.getsockname()[1])) if from_port else self.socket
        s.sendto(datagram, self.server)

    def _receive(self, timeout):
        """Takes one datagram apart; false if none came."""
        if not select.select([self.socket], [], [], max(0, timeout))[0]:
            return False
        try:
            datagram = self.socket.recv(65536)
        except ConnectionError:
            return True
        for kept in self.faults.incoming(datagram):
            for record in records_of(kept, len(self.own_cid)):
                self._take(record)
        return True

    # ---- records ----

    def next_seq(self, epoch):
        seq = self.write_seq[epoch]
        self.write_seq[epoch] += 1
        return seq

    def protect(self, type, content, **more):
        """A record of epoch 1 as it goes out; `seq`, `epoch`, `cid`, `padding` may be chosen."""
        seq = more.pop("seq", None)
        return self.write_keys.seal(type, content, more.pop("epoch", 1), self.next_seq(1) if seq is None else seq,
                                    more.pop("cid", self.peer_cid), **more)

    def _plain(self, type, content, version=DTLS_1_2):
        return bytes([type]) + version + number_of(0, self.next_seq(0)) + vector(2, content)

    def _take(self, record):
        if record.epoch == 0:
            if record.type == HANDSHAKE:
                self._take_handshake(record.fragment)
            elif record.type == ALERT and not self.handshakes:
                self._take_alert(record.fragment)
            return
        if not self.read_keys:
            self.waiting.append(record)
            return
        # RFC 9146, 3: with a connection id all records that are protected have it, without it none.
        assert (record.type == TLS12_CID) == bool(self.own_cid), f"type {record.type} with id {self.own_cid.hex()}"
        assert record.cid == self.own_cid and record.epoch == 1
        opened = self.read_keys.open(record)
        if opened is None:
            self.unauthentic += 1
            return
        before = self.received.get(record.seq)
        assert before in (None, record.fragment), f"the server used number {record.seq:#x} twice"
        if before:
            return
        self.received[record.seq] = record.fragment
        self.numbers.append(record.seq)
        type, content = opened
        if type == APPLICATION:
            self.application.append(content)
        elif type == ALERT:
            self._take_alert(content)
        elif type == HANDSHAKE:
            self._take_handshake(content)

    def _take_alert(self, content):
        level, description = content
        self.alerts.append((level, description))
        if level == FATAL and not self.handshakes:
            raise Alert(description)

    # ---- handshake messages ----

    def _take_handshake(self, fragment):
        while fragment:
            type, total, seq = fragment[0], int.from_bytes(fragment[1:4], "big"), int.from_bytes(fragment[4:6], "big")
            offset, length = int.from_bytes(fragment[6:9], "big"), int.from_bytes(fragment[9:12], "big")
            body, fragment = fragment[12:12 + length], fragment[12 + length:]
            assert len(body) == length and offset + length <= total
            if seq < self.next_message:
                continue
            got = self.partial.setdefault(seq, (type, total, {}))
            assert got[:2] == (type, total)
            got[2].update(enumerate(body, offset))
        while (got := self.partial.get(self.next_message)) and len(got[2]) == got[1]:
            type, total, body = self.partial.pop(self.next_message)
            self.messages.append((type, self.next_message, bytes(body[i] for i in range(total))))
            self.next_message += 1

    @staticmethod
    def whole(type, seq, body):
        """A message as the transcript has it (RFC 6347, 4.2.6)."""
        return bytes([type]) + vector(3, body)[:3] + struct.pack(">H", seq) + bytes(3) + vector(3, body)

    def _fragments(self, type, seq, body):
        if not self.fragment:
            return [self.whole(type, seq, body)]
        # The cookie of a ClientHello has to lie in its first fragment: the server keeps nothing before it.
        first = max(self.fragment, 35 + body[35] + 1) if type == CLIENT_HELLO else self.fragment
        cuts = [0, *range(first, len(body), self.fragment), len(body)]
        return [bytes([type]) + vector(3, body)[:3] + struct.pack(">H", seq) + a.to_bytes(3, "big")
                + vector(3, body[a:b]) for a, b in zip(cuts, cuts[1:])]

    def _send_flight(self, flight):
        """Each time with new record numbers (RFC 6347, 4.2.4)."""
        records = []
        for type, seq, body in flight:
            if type == CCS and seq is None:
                records.append(self._plain(CCS, b"\1"))
                continue
            for fragment in self._fragments(type, seq, body):
                records.append(self.protect(HANDSHAKE, fragment) if type == FINISHED else
                               self._plain(HANDSHAKE, fragment, DTLS_1_0 if type == CLIENT_HELLO else DTLS_1_2))
        self.send_datagrams(records if self.fragment else [b"".join(records)])

    def _converse(self, flight, last, end):
        """Sends until a message of one of the types `last` came; all messages up to that one."""
        interval, got = self.interval, []
        while True:
            self._send_flight(flight)
            again = time.monotonic() + interval
            while (now := time.monotonic()) < min(again, end):
                self._receive(min(again, end) - now)
                while self.messages:
                    got.append(self.messages.popleft())
                    if got[-1][0] in last:
                        return got
            if now >= end:
                raise NoAnswer(f"no message of {last}; {self.retransmissions} retransmissions")
            self.retransmissions += 1
            interval = min(interval * 2, 2.0)

    def hello(self, cookie=b""):
        extensions = b""
        if self.want_extended:
            extensions += struct.pack(">HH", EXTENDED_MASTER_SECRET, 0)
        if self.offered_cid is not None:
            extensions += struct.pack(">H", CONNECTION_ID) + vector(2, vector(1, self.offered_cid))
        return (DTLS_1_2 + self.random + vector(1, b"") + vector(1, cookie)
                + vector(2, struct.pack(">H", PSK_CCM_8)) + vector(1, b"\0") + vector(2, extensions))

    def hello_datagram(self, cookie=b"", seq=0):
        """A ClientHello for whoever wants to send nothing else."""
        return self._plain(HANDSHAKE, self.whole(CLIENT_HELLO, seq, self.hello(cookie)), DTLS_1_0)

    @staticmethod
    def cookie_of(datagram):
        """Of a HelloVerifyRequest."""
        record, = records_of(datagram, 0)
        assert record.type == HANDSHAKE and record.fragment[0] == HELLO_VERIFY_REQUEST
        body = record.fragment[12:]
        assert body[2] == len(body) - 3 > 0
        return body[3:]

    def handshake(self, timeout=10.0):
        end = time.monotonic() + timeout
        hello = (CLIENT_HELLO, 0, self.hello())
        got = self._converse([hello], [HELLO_VERIFY_REQUEST], end)
        assert [m[0] for m in got] == [HELLO_VERIFY_REQUEST], "no cookie was asked for"
        body = got[0][2]
        assert body[2] == len(body) - 3 > 0
        hello = (CLIENT_HELLO, 1, self.hello(body[3:]))
        got = self._converse([hello], [SERVER_HELLO_DONE], end)
        self._read_hello(got)
        exchange = (CLIENT_KEY_EXCHANGE, 2, vector(2, self.identity))
        transcript = b"".join(self.whole(*m) for m in [hello, *got, exchange])
        self._derive(got[0][2][2:34], transcript)
        finished = (FINISHED, 3, self._verify_data(b"client finished", transcript))
        # What came early, came under these keys.
        waiting, self.waiting = self.waiting, []
        for record in waiting:
            self._take(record)
        got = self._converse([exchange, (CCS, None, b""), finished], [FINISHED], end)
        expected = self._verify_data(b"server finished", transcript + self.whole(*finished))
        assert got == [(FINISHED, got[0][1], expected)], "the server's Finished is wrong"
        self.handshakes += 1
        return self

    def _read_hello(self, got):
        """ServerHello, perhaps a hint for the identity, ServerHelloDone."""
        types = [m[0] for m in got]
        assert types in ([SERVER_HELLO, SERVER_HELLO_DONE], [SERVER_HELLO, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE])
        body = got[0][2]
        assert body[:2] == DTLS_1_2
        at = 35 + body[34]
        assert struct.unpack_from(">HB", body, at) == (PSK_CCM_8, 0)
        extensions, at = {}, at + 5
        while at < len(body):
            type, length = struct.unpack_from(">HH", body, at)
            assert type not in extensions
            extensions[type] = body[at + 4:at + 4 + length]
            at += 4 + length
        self.extended = EXTENDED_MASTER_SECRET in extensions
        assert not self.extended or self.want_extended
        if CONNECTION_ID in extensions:
            assert self.offered_cid is not None, "the server has an extension that was not offered"
            body = extensions[CONNECTION_ID]
            assert body[0] == len(body) - 1
            self.own_cid, self.peer_cid = self.offered_cid, body[1:]

    def _derive(self, server_random, transcript):
        zeroes = bytes(len(self.key))
        premaster = vector(2, zeroes) + vector(2, self.key)
        if self.extended:
            self.master = prf(premaster, b"extended master secret", hashlib.sha256(transcript).digest(), 48)
        else:
            self.master = prf(premaster, b"master secret", self.random + server_random, 48)
        block = prf(self.master, b"key expansion", server_random + self.random, 40)
        self.write_keys = Keys(block[:16], block[32:36])
        self.read_keys = Keys(block[16:32], block[36:])

    def _verify_data(self, label, transcript):
        return prf(self.master, label, hashlib.sha256(transcript).digest(), 12)

    # ---- the session ----

    def send(self, content):
        self.send_datagrams([self.protect(APPLICATION, content)])

    def receive(self, timeout=5.0):
        """The next application data, or None."""
        return self.application.popleft() if self._wait(self.application, timeout) else None

    def send_alert(self, level, description):
        self.send_datagrams([self.protect(ALERT, bytes([level, description]))])

    def wait_alert(self, timeout=3.0):
        """The next alert of the server that was not asked for yet, or None."""
        return self.alerts.pop(0) if self._wait(self.alerts, timeout) else None

    def _wait(self, things, timeout):
        """Receives until there is something in `things`; with a timeout of 0 what has come already."""
        end = time.monotonic() + timeout
        while not things and self._receive(end - time.monotonic()):
            pass
        return things

    @property
    def terms(self):
        """The terms of all record numbers seen, in order, each once."""
        return list(dict.fromkeys(n >> TERM_BITS for n in self.numbers))
