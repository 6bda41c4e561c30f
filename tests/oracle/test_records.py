# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Records and sealed secrets against dtls_model.py, which is on python3-cryptography. Random data, both ways."""

import os
import pathlib
import random
import subprocess

import pytest

import dtls_model

ROUNDS = 4
CIDS = range(33)
AEADS = range(len(dtls_model.AEADS))
LENGTHS = [0, 1, 15, 16, 17, 64, 255, 1200, 16383, 16384]


class Pipe:
    def __init__(self):
        build = pathlib.Path(os.environ.get("SHOAL_BUILD", pathlib.Path(__file__).parents[2] / "build" / "gcc"))
        self.process = subprocess.Popen([build / "tests" / "oracle" / "record_pipe"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1 << 16)

    def ask(self, *fields):
        words = [(f.hex() or "-") if isinstance(f, bytes) else str(f) for f in fields]
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.endswith("\n"), words
        return answer[:-1]


def octets(text):
    return b"" if text == "-" else bytes.fromhex(text)


@pytest.fixture(scope="module")
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.process.stdin.close()
    assert pipe.process.wait(10) == 0


class Case:
    """A record to be sent, at random."""

    def __init__(self, rng, aead, cid_len, length):
        self.aead, self.key, self.iv = aead, rng.randbytes(dtls_model.AEADS[aead][0]), rng.randbytes(4)
        self.cid, self.content = rng.randbytes(cid_len), rng.randbytes(length)
        self.epoch, self.seq = rng.choice([0, 1, 1, 65535]), rng.choice([0, 1, rng.getrandbits(36), (1 << 48) - 1])
        self.type = rng.choice([20, 21, 22, 23])

    def whole(self):
        return self.type, self.epoch, self.seq, self.content


def cases(aead):
    rng = random.Random(aead)
    for cid_len in CIDS:
        for _ in range(ROUNDS):
            yield rng, Case(rng, aead, cid_len, rng.randrange(100))
    for length in LENGTHS:
        for cid_len in (0, 8):
            yield rng, Case(rng, aead, cid_len, length)


@pytest.mark.parametrize("aead", AEADS)
def test_what_we_seal_another_opens(pipe, aead):
    for _, c in cases(aead):
        record = octets(pipe.ask("seal", c.aead, c.key, c.iv, c.cid, c.epoch, c.seq, c.type, c.content))
        type_, epoch, seq, explicit, content = dtls_model.open_(c.aead, c.key, c.iv, c.cid, record)
        assert (type_, epoch, seq, content) == c.whole()
        assert explicit == dtls_model.number_of(c.epoch, c.seq)


@pytest.mark.parametrize("aead", AEADS)
def test_what_another_seals_we_open(pipe, aead):
    for rng, c in cases(aead):
        explicit = rng.choice([None, rng.randbytes(8)])
        zeroes = rng.choice([0, 0, 1, 100]) if c.cid and len(c.content) <= 1200 else 0
        record = dtls_model.seal(c.aead, c.key, c.iv, c.cid, c.epoch, c.seq, c.type, c.content, explicit, zeroes)
        type_, epoch, seq, content = pipe.ask("open", c.aead, c.key, c.iv, c.cid, record).split(" ")
        assert (int(type_), int(epoch), int(seq), octets(content)) == c.whole()


@pytest.mark.parametrize("aead", AEADS)
def test_one_changed_octet_is_refused(pipe, aead):
    for rng, c in list(cases(aead))[:len(CIDS) * ROUNDS]:
        record = bytearray(dtls_model.seal(c.aead, c.key, c.iv, c.cid, c.epoch, c.seq, c.type, c.content))
        record[rng.randrange(len(record))] ^= rng.randrange(1, 256)
        assert pipe.ask("open", c.aead, c.key, c.iv, c.cid, bytes(record)) == "refused"


def test_sealed_secrets(pipe):
    rng = random.Random(1)
    for _ in range(100):
        cluster_key, salt = rng.randbytes(32), rng.randbytes(8)
        node, incarnation = rng.getrandbits(32), rng.getrandbits(64)
        model = dtls_model.Vault(cluster_key)
        assert pipe.ask("vault-key", cluster_key, node, incarnation, salt) == "ok"
        for counter in range(3):
            kind, role, name = rng.randrange(1, 5), rng.randrange(2), rng.randbytes(rng.randrange(1, 100))
            secret = rng.randbytes(rng.randrange(600))
            ours = octets(pipe.ask("vault-seal", kind, role, name, secret))
            assert ours == model.seal(node, incarnation, salt, counter, kind, role, name, secret)
            assert model.open(ours, kind, role, name) == secret
            theirs = model.seal(rng.getrandbits(32), rng.getrandbits(64), rng.randbytes(8), rng.getrandbits(64), kind, role,
                                name, secret)
            assert octets(pipe.ask("vault-open", kind, role, name, theirs)) == secret
            assert pipe.ask("vault-open", kind, 1 - role, name, theirs) == "refused"
        period = rng.getrandbits(64)
        assert octets(pipe.ask("vault-derive", "cookie", period)) == model.derive(b"cookie", period)
