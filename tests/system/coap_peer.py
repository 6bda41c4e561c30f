# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""A CoAP peer whose every datagram the test chooses.

Written for the tests alone, from RFC 7252, and sharing no code with the server: an error would have to be
made twice to hide. It does nothing by itself: no retransmission, no deduplication, no acknowledgement.
"""

import itertools
import os
import re
import select
import socket
import struct
import time

CON, NON, ACK, RST = range(4)

GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = range(1, 8)

IF_MATCH, URI_HOST, ETAG, IF_NONE_MATCH, OBSERVE, URI_PORT, LOCATION_PATH = 1, 3, 4, 5, 6, 7, 8
URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY, ACCEPT = 11, 12, 14, 15, 17
LOCATION_QUERY, BLOCK2, BLOCK1, SIZE2, PROXY_URI, PROXY_SCHEME, SIZE1 = 20, 23, 27, 28, 35, 39, 60

TEXT, LINK, OPAQUE, SENML_JSON, SENML_CBOR, TLV = 0, 40, 42, 110, 112, 11542


def code(text):
    """`code("2.05")` is 69."""
    major, minor = text.split(".")
    return int(major) << 5 | int(minor)


def code_text(value):
    return f"{value >> 5}.{value & 31:02d}"


def uint(value):
    """The shortest form of a numeric option: 0 is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class Malformed(Exception):
    """What the server sent is no CoAP message."""


class Message:
    """`options` is a list of (number, bytes) in any order; `source` the address it came from."""

    def __init__(self, type=CON, code=0, mid=None, token=b"", options=(), payload=b"", source=None):
        self.type, self.code, self.mid, self.token = type, code, mid, token
        self.options = list(options)
        self.payload = payload
        self.source = source

    def __repr__(self):
        kind = ("CON", "NON", "ACK", "RST")[self.type]
        return (f"<{kind} {code_text(self.code)} mid={self.mid} token={self.token.hex()} "
                f"{self.options} {self.payload!r}>")

    def all(self, number):
        return [value for n, value in self.options if n == number]

    def one(self, number):
        """The value of an option that occurs at most once, as bytes; None if it is absent."""
        values = self.all(number)
        assert len(values) <= 1, f"option {number} occurs {len(values)} times in {self}"
        return values[0] if values else None

    def number(self, number):
        value = self.one(number)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def text(self):
        return code_text(self.code)

    @property
    def path(self):
        return "/" + "/".join(v.decode() for v in self.all(URI_PATH))

    @property
    def location(self):
        return "/" + "/".join(v.decode() for v in self.all(LOCATION_PATH))

    @property
    def query(self):
        return [v.decode() for v in self.all(URI_QUERY)]

    def encode(self):
        out = bytearray([0x40 | self.type << 4 | len(self.token), self.code])
        out += struct.pack("!H", self.mid) + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda o: o[0]):
            delta, delta_more = _nibble(number - last)
            length, length_more = _nibble(len(value))
            out += bytes([delta << 4 | length]) + delta_more + length_more + value
            last = number
        if self.payload:
            out += b"\xff" + self.payload
        return bytes(out)

    @classmethod
    def decode(cls, data, source=None):
        if len(data) < 4 or data[0] >> 6 != 1:
            raise Malformed(data.hex())
        token_len = data[0] & 15
        if token_len > 8 or len(data) < 4 + token_len:
            raise Malformed(data.hex())
        m = cls(data[0] >> 4 & 3, data[1], int.from_bytes(data[2:4], "big"), bytes(data[4:4 + token_len]),
                source=source)
        at, number = 4 + token_len, 0
        while at < len(data) and data[at] != 0xFF:
            head, at = data[at], at + 1
            delta, at = _extended(data, at, head >> 4)
            length, at = _extended(data, at, head & 15)
            number += delta
            if at + length > len(data):
                raise Malformed(data.hex())
            m.options.append((number, bytes(data[at:at + length])))
            at += length
        if at < len(data):
            m.payload = bytes(data[at + 1:])
            if not m.payload:
                raise Malformed(data.hex())
        return m


def _nibble(value):
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, struct.pack("!H", value - 269)


def _extended(data, at, nibble):
    if nibble == 15:
        raise Malformed(data.hex())
    more = (0, 1, 2)[max(0, nibble - 12)]
    if at + more > len(data):
        raise Malformed(data.hex())
    if nibble < 13:
        return nibble, at
    return int.from_bytes(data[at:at + more], "big") + (13 if nibble == 13 else 269), at + more


_names = itertools.count(1)


def unique(prefix="dev"):
    """An endpoint name that no other test uses."""
    return f"{prefix}-{os.getpid()}-{next(_names)}"


class Peer:
    """One UDP socket on the loopback interface, facing one server."""

    def __init__(self, port, host="127.0.0.1", source="", source_port=0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((source or host, source_port))
        self.server = (host, port)
        self.mids = itertools.count(int.from_bytes(os.urandom(2), "big"))
        self.host = host

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def next_mid(self):
        return next(self.mids) & 0xFFFF

    def send(self, m):
        """Sends a Message (its message id is chosen if it has none) or bytes as they are."""
        if isinstance(m, Message) and m.mid is None:
            m.mid = self.next_mid()
        self.socket.sendto(m if isinstance(m, bytes) else m.encode(), self.server)
        return m

    def receive(self, timeout=5.0):
        """The next message, or None after `timeout` seconds."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        try:
            data, source = self.socket.recvfrom(65536)
        except ConnectionError:
            return None
        return Message.decode(data, source)

    def expect(self, want=lambda m: True, timeout=5.0):
        """The next message for which `want` holds; others are dropped. Fails if none comes."""
        end = time.monotonic() + timeout
        seen = []
        while (left := end - time.monotonic()) > 0:
            m = self.receive(left)
            if m is not None and want(m):
                return m
            if m is not None:
                seen.append(m)
        raise AssertionError(f"expected message did not come within {timeout} s; came last: {seen[-5:]}")

    def silence(self, seconds=0.3):
        """Fails if anything comes."""
        m = self.receive(seconds)
        assert m is None, f"expected silence, got {m}"

    def drain(self):
        while self.receive(0.02):
            pass

    def exchange(self, m, timeout=5.0):
        """Sends a CON request and returns the message with its message id (the ACK, or the RST)."""
        self.send(m)
        return self.expect(lambda r: r.mid == m.mid and r.type in (ACK, RST), timeout)

    def request(self, method, path, query=(), payload=b"", token=None, options=(), **more):
        """A request Message, as a device would send it."""
        wanted = [(URI_PATH, s.encode()) for s in path.strip("/").split("/") if s]
        wanted += [(URI_QUERY, q.encode() if isinstance(q, str) else q) for q in query]
        return Message(code=method, token=os.urandom(4) if token is None else token,
                       options=wanted + list(options), payload=payload, **more)

    def next_request(self, timeout=5.0):
        """The next request from the server."""
        return self.expect(lambda m: 1 <= m.code <= 31, timeout)

    def answer(self, request, text, payload=b"", options=(), format=None):
        """A piggy-backed response."""
        return self.send(response(request, text, payload, options, format, type=ACK, mid=request.mid))

    def acknowledge(self, m):
        return self.send(Message(ACK, 0, m.mid))

    def reset(self, m):
        return self.send(Message(RST, 0, m.mid))


def response(request, text, payload=b"", options=(), format=None, type=CON, mid=None):
    """A response to `request`, of any message type."""
    wanted = list(options)
    if format is not None:
        wanted.append((CONTENT_FORMAT, uint(format)))
    return Message(type, code(text), mid, request.token, wanted, payload)


DEFAULT_LINKS = b"</1/0>,</3/0>,</3303/0>"


class Device(Peer):
    """A peer that can register. What the server asks it is still answered by the test."""

    def __init__(self, port, endpoint=None, **more):
        super().__init__(port, **more)
        self.endpoint = endpoint or unique()
        self.location = None

    def register_message(self, links=DEFAULT_LINKS, lt=300, version="1.1", query=(), format=LINK, **more):
        wanted = [f"ep={self.endpoint}"]
        wanted += [f"lt={lt}"] if lt is not None else []
        wanted += [f"lwm2m={version}"] if version is not None else []
        options = [] if format is None else [(CONTENT_FORMAT, uint(format))]
        return self.request(POST, "/rd", wanted + list(query), links, options=options, **more)

    def register(self, **more):
        """Registers and remembers the location."""
        answer = self.exchange(self.register_message(**more))
        assert answer.text == "2.01", answer
        assert re.fullmatch(r"/rd/[A-Za-z0-9_-]{1,10}", answer.location), answer
        self.location = answer.location
        return answer

    def update_message(self, query=(), links=b"", **more):
        options = [(CONTENT_FORMAT, uint(LINK))] if links else []
        return self.request(POST, self.location, query, links, options=options, **more)

    def update(self, *query, links=b"", **more):
        return self.exchange(self.update_message(query, links, **more))

    def deregister(self):
        return self.exchange(self.request(DELETE, self.location))

    def serve_one(self, text="2.04", payload=b"", format=None, options=(), timeout=5.0):
        """Answers the next request of the server and returns it."""
        request = self.next_request(timeout)
        self.answer(request, text, payload, options, format)
        return request

    def notify(self, observe, sequence, payload, format=TEXT, type=CON, text="2.05", options=()):
        """A notification on the observation that the request `observe` began."""
        return self.send(response(observe, text, payload, [(OBSERVE, uint(sequence)), *options], format, type))
