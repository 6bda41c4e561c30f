# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The table of slots, from its description in src/cluster/slots.h; SipHash-2-4 from the paper by Aumasson and Bernstein."""

import struct

SLOTS = 4096
KEY = b"shoal slot table"
MASK = (1 << 64) - 1


def rotate(x, n):
    return (x << n | x >> (64 - n)) & MASK


def sip_rounds(v, count):
    a, b, c, d = v
    for _ in range(count):
        a, c = (a + b) & MASK, (c + d) & MASK
        b, d = rotate(b, 13) ^ a, rotate(d, 16) ^ c
        a = rotate(a, 32)
        c, a = (c + b) & MASK, (a + d) & MASK
        b, d = rotate(b, 17) ^ c, rotate(d, 21) ^ a
        c = rotate(c, 32)
    return [a, b, c, d]


def siphash(key, data):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        v = sip_rounds(v, 2)
        v[0] ^= word
    v[2] ^= 255
    v = sip_rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def table(members):
    """{node: weight} -> the node of each slot"""
    def best(slot):
        return max((siphash(KEY, struct.pack(">III", slot, node, i)), -node)
                   for node, weight in members.items() for i in range(weight))
    return [-best(slot)[1] if members else 0 for slot in range(SLOTS)]
