# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The CoAP device of the system tests on the DTLS client of this folder."""

import itertools
import os
import re

import coap_peer
import dtls_client

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


class SecureDevice(coap_peer.Device):
    """`secure` is its session. A second handshake makes a new one: `connect`."""

    def __init__(self, port, endpoint=None, identity=None, key=KEY, host="127.0.0.1", handshake=True, **more):
        self.endpoint = endpoint or coap_peer.unique("secure")
        self.identity, self.key = identity or f"id-{self.endpoint}", key
        self.server, self.host, self.more = (host, port), host, more
        self.mids = itertools.count(int.from_bytes(os.urandom(2), "big"))
        self.location = self.secure = None
        self.past = []
        if handshake:
            self.connect()

    def connect(self, timeout=10.0, **more):
        if self.secure:
            self.past.append(self.secure)
        self.secure = dtls_client.Client(self.server[1], self.identity, self.key, self.host, **(self.more | more))
        return self.secure.handshake(timeout)

    def close(self):
        for one in [*self.past, self.secure]:
            if one:
                one.close()

    @property
    def socket(self):
        return self.secure.socket

    def send(self, m):
        if isinstance(m, coap_peer.Message) and m.mid is None:
            m.mid = self.next_mid()
        self.secure.send(m if isinstance(m, bytes) else m.encode())
        return m

    def receive(self, timeout=5.0):
        data = self.secure.receive(timeout)
        return None if data is None else coap_peer.Message.decode(data)


def credential(daemon, device_or_endpoint, identity=None, key=KEY):
    """PUT /api/security/clients for a device that has, or will have, a session by PSK."""
    if isinstance(device_or_endpoint, SecureDevice):
        endpoint, identity, key = device_or_endpoint.endpoint, device_or_endpoint.identity, device_or_endpoint.key
    else:
        endpoint = device_or_endpoint
    answer = daemon.http("PUT", "/api/security/clients/", {
        "endpoint": endpoint,
        "tls": {"mode": "psk", "details": {"identity": identity or f"id-{endpoint}", "key": key.hex()}}})
    assert answer.status in (200, 204), answer
    return endpoint


def join(daemon, endpoint=None, **more):
    """A device with a credential and a session, registered."""
    endpoint = credential(daemon, endpoint or coap_peer.unique("secure"), key=more.get("key", KEY),
                          identity=more.get("identity"))
    device = SecureDevice(daemon.dtls_port, endpoint, **more)
    answer = device.register()
    assert re.fullmatch(r"/rd/[A-Za-z0-9_-]{1,10}", answer.location)
    return device
