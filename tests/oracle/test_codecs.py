# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The codecs against other people's: cbor2, json, and model.py, which shares no code with them. Random data, both ways."""

import datetime
import json
import os
import pathlib
import random
import struct
import subprocess

import cbor2
import pytest

import model

TYPES = ["STRING", "INTEGER", "UNSIGNED_INTEGER", "FLOAT", "BOOLEAN", "OPAQUE", "TIME", "OBJLNK", "CORELINK"]
EVERY_TYPE, MULTIPLE = 42800, 100
ROUNDS = 400
TLV, OLD_JSON, LEGACY_JSON, CBOR, SENML_JSON, SENML_CBOR = 11542, 11543, 1543, 60, 110, 112
LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2, "vs": 3, "vb": 4, "vd": 8, "t": 6, "vlo": "vlo"}
NAMES = {number: name for name, number in LABELS.items()}
CHARACTERS = ["a", "Z", "0", " ", "/", '"', "\\", "\n", "\x00", "\x1f", "\x7f", "ö", "€", "\U0001f41f"]


class Pipe:
    def __init__(self):
        build = pathlib.Path(os.environ.get("SHOAL_BUILD", pathlib.Path(__file__).parents[2] / "build" / "gcc"))
        self.process = subprocess.Popen([build / "tests" / "oracle" / "codec_pipe"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1 << 16)

    def send(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def root(self, prefix):
        self.process.stdin.write(f"root {prefix or '-'}\n")

    def decode(self, format_, base, payload):
        out, line = [], self.send(f"decode {format_} {model.text_of(base)} {payload.hex()}")
        while line != "end":
            assert not line.startswith("error"), (line, payload)
            path, type_, time, value, flag = line.split(" ")
            assert flag == "-", (line, payload)
            out.append((model.path_of(path), type_, None if time == "-" else int(time), value_of(type_, value)))
            line = self.process.stdout.readline().rstrip("\n")
        return out

    def encode(self, format_, base, records):
        lines = [f"{model.text_of(p)} {t} {'-' if time is None else time} {text_of(t, v)} -" for p, t, time, v in records]
        answer = self.send(f"encode {format_} {model.text_of(base)}", *lines, "end")
        assert answer.startswith("ok "), (answer, lines)
        return bytes.fromhex(answer[3:])


@pytest.fixture(scope="module")
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.process.stdin.close()
    assert pipe.process.wait(10) == 0


def text_of(type_, value):
    if type_ in model.TEXTS:
        return "x" + value.encode().hex()
    if type_ == "OPAQUE":
        return "x" + value.hex()
    if type_ == "FLOAT":
        return struct.pack(">d", value).hex()
    return "%d:%d" % value if type_ == "OBJLNK" else str(int(value))


def value_of(type_, text):
    if type_ in model.TEXTS:
        return bytes.fromhex(text[1:]).decode()
    if type_ == "OPAQUE":
        return bytes.fromhex(text[1:])
    if type_ == "FLOAT":
        return struct.unpack(">d", bytes.fromhex(text))[0]
    if type_ == "BOOLEAN":
        return text == "1"
    return tuple(map(int, text.split(":"))) if type_ == "OBJLNK" else int(text)


# --- Random records ---

def random_float(rng):
    while True:
        value = rng.choice([lambda: rng.uniform(-1e3, 1e3), lambda: float(rng.randint(-70000, 70000)) / 8,
                            lambda: struct.unpack(">d", rng.randbytes(8))[0],
                            lambda: struct.unpack(">f", rng.randbytes(4))[0],
                            lambda: struct.unpack(">e", rng.randbytes(2))[0]])()
        if value - value == 0:
            return value


def random_value(rng, type_):
    magnitude = rng.getrandbits(64) >> rng.randrange(64)
    if type_ in model.TEXTS:
        return "".join(rng.choices(CHARACTERS, k=rng.choice([0, 3, 20, 200])))
    if type_ in ("INTEGER", "TIME"):
        return (magnitude >> 1) * rng.choice([1, -1])
    if type_ == "UNSIGNED_INTEGER":
        return magnitude
    if type_ == "FLOAT":
        return random_float(rng)
    if type_ == "BOOLEAN":
        return rng.random() < 0.5
    if type_ == "OPAQUE":
        return rng.randbytes(rng.choice([0, 1, 2, 3, 30, 300, 70000 if rng.random() < 0.02 else 5]))
    return rng.getrandbits(16), rng.getrandbits(16)


def random_path(rng, base):
    """Below `base`, and its type."""
    number = base[2] % MULTIPLE if len(base) > 2 else rng.randint(1, len(TYPES))
    resource = base[2] if len(base) > 2 else number + MULTIPLE * rng.randrange(2)
    instance = base[1] if len(base) > 1 else rng.choice([0, 1, 7, 255, 256, 65534])
    path = (EVERY_TYPE, instance, resource)
    if resource > MULTIPLE:
        path += (base[3] if len(base) > 3 else rng.choice([0, 1, 255, 256, 65534]),)
    return path, TYPES[number - 1]


def random_base(rng, depths):
    depth = rng.choice(depths)
    number = rng.randint(1, len(TYPES))
    several = depth == 4 or rng.random() < 0.5
    return (EVERY_TYPE, rng.choice([0, 3, 300]), number + MULTIPLE * several, rng.choice([0, 300]))[:depth]


def random_records(rng, base, times):
    """Sorted, each path once or at several times."""
    paths = dict(random_path(rng, base) for _ in range(rng.choice([1, 2, 8, 30])))
    out = []
    kind = rng.choice(["none", "all", "some"]) if times else "none"
    for path in sorted(paths):
        timed = kind == "all" or (kind == "some" and rng.random() < 0.5)
        moments = sorted({random_time(rng) for _ in range(rng.choice([1, 1, 3]))}) if timed else [None]
        out += [(path, paths[path], moment, random_value(rng, paths[path])) for moment in moments]
    return out


def random_time(rng):
    absolute = rng.randint(model.ABSOLUTE_FROM_S, 2 * model.NOW_S) * 1000
    return rng.choice([absolute, absolute + rng.randrange(1000), model.NOW_S * 1000 - rng.randrange(10**8)])


def same(a, b):
    """Equal to the bit: zero has a sign, and True is not 1."""
    return repr(a) == repr(b)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert same(one, other)


def rounds(seed, depths, times):
    """Many (rng, base, records)."""
    for n in range(ROUNDS):
        rng = random.Random(f"{seed}-{n}")
        base = random_base(rng, depths)
        yield rng, base, random_records(rng, base, times)


def seconds(ms):
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


# --- SenML ---

def split(rng, base_name, name):
    """(base name or None to keep it, rest) for a name that a client may cut anywhere."""
    if base_name and name.startswith(base_name) and rng.random() < 0.7:
        return None, name[len(base_name):]
    at = rng.randint(0, len(name))
    return name[:at], name[at:]


def random_pack(rng, records, root, binary):
    pack, base_name, base_time = [], "", None
    for path, type_, time, value in records:
        item = {}
        new, rest = split(rng, base_name, root + model.text_of(path))
        if new is not None:
            base_name = item["bn"] = new
        if rest or rng.random() < 0.5:
            item["n"] = rest
        if time is not None:
            relative = rng.random() < 0.3 and base_time is None and abs(time - model.NOW_S * 1000) < 10**8
            if relative:
                item["t"] = seconds(time - model.NOW_S * 1000)
            elif base_time is None and rng.random() < 0.3 and all(r[2] is not None for r in records):
                base_time = item["bt"] = time // 1000
                item["t"] = seconds(time - base_time * 1000)
            else:
                item["t"] = seconds(time - (base_time or 0) * 1000)
        label, item_value = model.senml_field(type_, value, binary)
        item[label] = item_value
        pack.append({k: item[k] for k in rng.sample(list(item), len(item))})
    return pack


def check_pack(pack, records, binary, root):
    found = model.senml_read(pack, binary, root)
    assert len(found) == len(records)
    for (path, label, time, value), (wanted, type_, moment, expected) in zip(found, records):
        assert (path, label, time) == (wanted, model.senml_field(type_, expected, binary)[0], moment)
        assert same(value, expected) or (type_ == "FLOAT" and value == expected and not binary)


@pytest.mark.parametrize("root", ["", "/lwm2m", "/a\"b/ö"])
def test_senml_json_is_read(pipe, root):
    pipe.root(root)
    for rng, base, records in rounds("senml json", [0, 1, 2, 3, 4], True):
        pack = random_pack(rng, records, root if rng.random() < 0.7 else "", False)
        payload = json.dumps(pack, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])).encode()
        assert_same(pipe.decode(SENML_JSON, base, payload), records)
    pipe.root("")


@pytest.mark.parametrize("root", ["", "/lwm2m"])
def test_senml_json_is_written(pipe, root):
    pipe.root(root)
    for _, base, records in rounds("senml json out", [0, 1, 2, 3, 4], True):
        check_pack(json.loads(pipe.encode(SENML_JSON, base, records)), records, False, root)
    pipe.root("")


@pytest.mark.parametrize("root", ["", "/lwm2m"])
def test_senml_cbor_is_read(pipe, root):
    pipe.root(root)
    for rng, base, records in rounds("senml cbor", [0, 1, 2, 3, 4], True):
        pack = random_pack(rng, records, root if rng.random() < 0.7 else "", True)
        numbered = [{LABELS[k] if rng.random() < 0.9 else k: v for k, v in item.items()} for item in pack]
        payload = cbor2.dumps(numbered, canonical=rng.random() < 0.5)
        assert_same(pipe.decode(SENML_CBOR, base, payload), records)
    pipe.root("")


@pytest.mark.parametrize("root", ["", "/lwm2m"])
def test_senml_cbor_is_written(pipe, root):
    pipe.root(root)
    for _, base, records in rounds("senml cbor out", [0, 1, 2, 3, 4], True):
        payload = pipe.encode(SENML_CBOR, base, records)
        pack = [{NAMES[k]: v for k, v in item.items()} for item in cbor2.loads(payload)]
        check_pack(pack, records, True, root)
        assert len(payload) <= len(cbor2.dumps(cbor2.loads(payload), canonical=True))
    pipe.root("")


# --- One value ---

@pytest.mark.parametrize("canonical", [False, True])
def test_cbor_is_read(pipe, canonical):
    for rng, base, records in rounds("cbor", [4], False):
        path, type_, _, value = records[0]
        item = model.cbor_value(type_, value)
        if type_ == "TIME" and rng.random() < 0.3:
            item = cbor2.CBORTag(1, item)
        if type_ == "FLOAT" and abs(value) < 1e9 and rng.random() < 0.5:
            places = rng.randint(0, 9)
            mantissa = rng.randint(-10**6, 10**6)
            value, item = float(f"{mantissa}e-{places}"), cbor2.CBORTag(4, [-places, mantissa])
        assert_same(pipe.decode(CBOR, base, cbor2.dumps(item, canonical=canonical)), [(path, type_, None, value)])


def test_cbor_dates_are_read(pipe):
    rng = random.Random("dates")
    for _ in range(ROUNDS):
        zone = datetime.timezone(datetime.timedelta(minutes=rng.randint(-1439, 1439)))
        moment = datetime.datetime.fromtimestamp(rng.randint(-10**10, 10**11), zone)
        path = (EVERY_TYPE, 0, 1 + TYPES.index("TIME"))
        assert_same(pipe.decode(CBOR, path, cbor2.dumps(moment)), [(path, "TIME", None, int(moment.timestamp()))])


def test_cbor_is_written(pipe):
    for _, base, records in rounds("cbor out", [4], False):
        payload = pipe.encode(CBOR, base, records[:1])
        expected = model.cbor_value(*records[0][1::2])
        assert same(cbor2.loads(payload), expected)
        # Nobody writes it shorter.
        assert len(payload) <= len(cbor2.dumps(expected, canonical=True))


# --- JSON of LwM2M 1.0 ---

@pytest.mark.parametrize("number", [OLD_JSON, LEGACY_JSON])
def test_old_json_is_read(pipe, number):
    for rng, base, records in rounds("old json", [1, 2, 3, 4], True):
        prefix = model.text_of(base) + "/" if rng.random() < 0.5 else "/"
        relative = rng.random() < 0.3
        everywhere = all(r[2] is not None for r in records)
        document = {} if relative else {"bn": prefix}
        if everywhere and rng.random() < 0.5:
            document["bt"] = records[0][2] // 1000
        entries = document["e"] = []
        for path, type_, time, value in records:
            name = "/".join(map(str, path[len(base):])) if relative else (model.text_of(path) + "/")[len(prefix):].rstrip("/")
            label, entry = model.old_json_field(type_, value)
            entries.append({"n": name, label: entry} if name or rng.random() < 0.5 else {label: entry})
            if time is not None:
                entries[-1]["t"] = seconds(time - document.get("bt", 0) * 1000)
        assert_same(pipe.decode(number, base, json.dumps(document).encode()), records)


def test_old_json_is_written(pipe):
    for _, base, records in rounds("old json out", [1, 2, 3, 4], True):
        found = model.old_json_read(json.loads(pipe.encode(OLD_JSON, base, records)))
        assert len(found) == len(records)
        for (path, label, time, value), (wanted, type_, moment, expected) in zip(found, records):
            assert (path, time) == (wanted, moment)
            assert (label, value) == model.old_json_field(type_, expected)


# --- TLV ---

def test_tlv_is_read(pipe):
    for rng, base, records in rounds("tlv", [1, 2, 3], False):
        payload = model.tlv_write(records, base, lambda: rng.choice([0, 0, 0, 1, 2]))
        assert_same(pipe.decode(TLV, base, payload), records)


def test_tlv_is_written(pipe):
    for _, base, records in rounds("tlv out", [1, 2, 3], False):
        found = list(model.tlv_read(pipe.encode(TLV, base, records), base))
        assert [path for path, _ in found] == [r[0] for r in records]
        for (_, body), (_, type_, _, expected) in zip(found, records):
            assert same(model.tlv_meaning(type_, body), expected)


def test_a_wrong_payload_is_told(pipe):
    """The pipe itself: what is refused here is no silent success elsewhere."""
    assert pipe.send(f"decode {CBOR} /3/0/9 ff").startswith("error 1 ")
    assert pipe.send(f"decode {SENML_JSON} /3/0 {b'[{}]'.hex()}").startswith("error 1 ")
    assert pipe.send(f"decode 666 /3/0 {b'[{}]'.hex()}").startswith("error 2 ")
    assert pipe.send(f"encode {TLV} /3/0", "/3/1/9 INTEGER - 5 -", "end").startswith("error 3 ")
