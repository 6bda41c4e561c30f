# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""How clients take jumps of the record number: one term (2^28) for each restart of the server that they slept through.

A client must go on after a jump of one and of two terms; seventeen are more than 2^32 numbers, and more than the server
ever leaves out at once but for the last resort. Their sessions stay open the whole time, and nobody but the server knows
of its restarts. docs/dtls.md, Clients, has the table.
"""

import pytest

import secure_device
from test_dtls_stacks import (HOSTS, PipedDevice, authority, enrol, gnutls, mbedtls, openssl,  # noqa: F401 (a fixture)
                              options, read, wolfssl)

STACKS = [(openssl, "psk", "PSK-AES128-CCM8"), (gnutls, "psk", "AES-128-CCM-8"),
          (mbedtls, "psk", "TLS-PSK-WITH-AES-128-CCM-8"), (wolfssl, "x509", "ECDHE-ECDSA-AES128-CCM-8")]


def hears(device):
    """Whether an answer of the server arrives."""
    update = device.update_message(["lt=300"], mid=device.next_mid())
    device.send(update)
    answer = device.receive(1.5)
    return answer is not None and answer.mid == update.mid and answer.text == "2.04"


def sleep_through(daemon, restarts):
    for _ in range(restarts):
        daemon.kill()
        daemon.start()


@pytest.mark.parametrize("host", HOSTS)
def test_stacks_take_jumps_of_terms(start, authority, options, say, host):  # noqa: F811
    daemon = start(*options)
    devices = {"RFC 9146, with id": secure_device.join(daemon, cid=b"me", host=host),
               "RFC 9146, without": secure_device.join(daemon, cid=None, host=host)}
    try:
        for stack, mode, suite in STACKS:
            endpoint = enrol(daemon, authority, mode)
            command = stack(host, daemon.dtls_port, endpoint, authority, mode, suite)
            devices[stack.__name__] = PipedDevice(command, endpoint)
            devices[stack.__name__].register()
        found = {}
        for terms in (1, 2, 17):
            sleep_through(daemon, terms)
            found[terms] = {name: hears(device) for name, device in devices.items()}
            say(f"{terms}: {found[terms]}")
        for device in devices.values():
            read(daemon, device)
        handshakes = daemon.metrics()["shoal_dtls_handshakes_total"]
    finally:
        for device in devices.values():
            device.close()
    # The jumps were as large as they should be: this client takes any number, and tells.
    for name in ("RFC 9146, with id", "RFC 9146, without"):
        assert devices[name].secure.terms == [0, 1, 3, 20]
    assert handshakes == 0
    assert all(all(heard.values()) for heard in found.values()), found
