# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Records of DTLS 1.2 and sealed secrets, written again from RFC 6347, RFC 9146, RFC 6655 and docs/dtls.md."""

import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

# By enum dtls_aead: (bytes of the key, what makes a cipher of it).
AEADS = [
    (16, lambda key: AESCCM(key, tag_length=8)), (16, AESCCM), (16, AESGCM),
    (32, lambda key: AESCCM(key, tag_length=8)), (32, AESCCM), (32, AESGCM),
]
TAGS = [8, 16, 16, 8, 16, 16]
CID_TYPE, VERSION = 25, b"\xfe\xfd"


def number_of(epoch, seq):
    return struct.pack(">HHI", epoch, seq >> 32, seq & 0xFFFFFFFF)


def additional(type_, number, cid, length):
    if type_ == CID_TYPE:
        return b"\xff" * 8 + bytes([CID_TYPE, len(cid), CID_TYPE]) + VERSION + number + cid + struct.pack(">H", length)
    return number + bytes([type_]) + VERSION + struct.pack(">H", length)


def seal(aead, key, iv, cid, epoch, seq, type_, content, explicit=None, zeroes=0):
    """A record; with another explicit nonce than ours, or with zeroes behind the type, if a peer makes it."""
    number = number_of(epoch, seq)
    explicit = number if explicit is None else explicit
    inner = content + bytes([type_]) + bytes(zeroes) if cid else content
    outer = CID_TYPE if cid else type_
    fragment = explicit + AEADS[aead][1](key).encrypt(iv + explicit, inner, additional(outer, number, cid, len(inner)))
    return bytes([outer]) + VERSION + number + cid + struct.pack(">H", len(fragment)) + fragment


def open_(aead, key, iv, cid, record):
    """(type, epoch, seq, explicit nonce, content), or None."""
    outer, number, at = record[0], record[3:11], 11 + (len(cid) if record[0] == CID_TYPE else 0)
    length, = struct.unpack_from(">H", record, at)
    fragment = record[at + 2:]
    assert record[1:3] == VERSION and length == len(fragment) and record[11:at] == (cid if outer == CID_TYPE else b"")
    explicit, sealed = fragment[:8], fragment[8:]
    try:
        inner = AEADS[aead][1](key).decrypt(iv + explicit, sealed,
                                            additional(outer, number, cid, len(sealed) - TAGS[aead]))
    except InvalidTag:
        return None
    epoch, high, low = struct.unpack(">HHI", number)
    if outer == CID_TYPE:
        inner = inner.rstrip(b"\0")
        outer, inner = inner[-1], inner[:-1]
    return outer, epoch, high << 32 | low, explicit, inner


def hmac_sha256(key, data):
    return hmac.digest(key, data, "sha256")


class Vault:
    """What docs/dtls.md says of sealed secrets."""

    def __init__(self, cluster_key):
        self.prk = hmac_sha256(b"shoal vault 1", cluster_key)
        self.id = self.expand(b"id")[:4]

    def expand(self, info):
        return hmac_sha256(self.prk, info + b"\1")

    def derive(self, label, period):
        return self.expand(b"derive" + struct.pack(">Q", period) + label)

    def seal(self, node, incarnation, salt, counter, kind, role, name, plaintext):
        source = struct.pack(">IQ", node, incarnation) + salt
        lead = b"\1" + self.id + source + struct.pack(">Q", counter)
        cipher = ChaCha20Poly1305(self.expand(b"seal" + source))
        return lead + cipher.encrypt(bytes(4) + struct.pack(">Q", counter), plaintext, lead + bytes([kind, role]) + name)

    def open(self, sealed, kind, role, name):
        lead, text = sealed[:33], sealed[33:]
        assert lead[:5] == b"\1" + self.id
        cipher = ChaCha20Poly1305(self.expand(b"seal" + lead[5:25]))
        return cipher.decrypt(bytes(4) + lead[25:], text, lead + bytes([kind, role]) + name)
