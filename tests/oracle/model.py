# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""What the payloads of LwM2M mean, written again from the specifications: SenML (RFC 8428), JSON of LwM2M 1.0, TLV.

A record is (path, type, time, value): the path a tuple of ids, the time in milliseconds or None. Readers do not know
types, so they give what is on the wire; `wire` says what that is for a record.
"""

import base64
import struct

NOW_S = 1_700_000_000
ABSOLUTE_FROM_S = 1 << 28
TEXTS = ("STRING", "CORELINK")
NUMBERS = ("INTEGER", "UNSIGNED_INTEGER", "TIME", "FLOAT")


def text_of(path):
    return "/" + "/".join(map(str, path))


def path_of(text):
    parts = text.strip("/").split("/") if text.strip("/") else []
    assert all(p == str(int(p)) and 0 <= int(p) < 65535 for p in parts) and len(parts) <= 4, text
    return tuple(map(int, parts))


def instant(seconds):
    return round((seconds + (NOW_S if seconds < ABSOLUTE_FROM_S else 0)) * 1000)


def url_base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def senml_field(type_, value, binary):
    """Label and value of a record."""
    if type_ in NUMBERS:
        return "v", value
    if type_ in TEXTS:
        return "vs", value
    if type_ == "BOOLEAN":
        return "vb", value
    if type_ == "OPAQUE":
        return "vd", value if binary else url_base64(value)
    return "vlo", "%d:%d" % value


def senml_read(pack, binary, root=""):
    """(path, label, time, value) of each record; resolved as RFC 8428, 4.6 says."""
    base, base_time, out = "", 0, []
    timed = False
    for item in pack:
        base = item.get("bn", base)
        if "bt" in item:
            base_time, timed = item["bt"], True
        name = base + item.get("n", "")
        assert name.startswith(root + "/"), name
        time = instant(base_time + item.get("t", 0)) if timed or "t" in item else None
        values = [k for k in item if k in ("v", "vs", "vb", "vd", "vlo")]
        assert len(values) <= 1 and set(item) <= {"bn", "bt", "n", "t", *values}
        label = values[0] if values else None
        value = item[label] if label else None
        if label == "vd" and not binary:
            assert "=" not in value
            value = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        if label == "vlo":
            value = tuple(map(int, value.split(":")))
        out.append((path_of(name[len(root):]), label, time, value))
    return out


def old_json_field(type_, value):
    if type_ in NUMBERS:
        return "v", value
    if type_ in TEXTS:
        return "sv", value
    if type_ == "BOOLEAN":
        return "bv", value
    if type_ == "OPAQUE":
        return "sv", base64.b64encode(value).decode()
    return "ov", "%d:%d" % value


def old_json_read(document):
    assert set(document) <= {"bn", "bt", "e"}
    out = []
    for item in document["e"]:
        time = instant(document.get("bt", 0) + item.get("t", 0)) if "bt" in document or "t" in item else None
        labels = [k for k in item if k in ("v", "sv", "bv", "ov")]
        assert len(labels) <= 1 and set(item) <= {"n", "t", *labels}
        label = labels[0] if labels else None
        out.append((path_of(document["bn"] + item.get("n", "")), label, time, item[label] if label else None))
    return out


def cbor_value(type_, value):
    return "%d:%d" % value if type_ == "OBJLNK" else value


# --- TLV (LwM2M Core 1.1.1, 7.4.6) ---

INSTANCE, RESOURCE_INSTANCE, MULTIPLE, RESOURCE = range(4)


def tlv_item(kind, id_, body, wide=0):
    """`wide` adds bytes to the length that need not be there."""
    head = kind << 6
    length = b""
    if len(body) > 7 or wide:
        size = min(3, max(1, (len(body).bit_length() + 7) // 8) + max(0, wide - 1))
        head |= size << 3
        length = len(body).to_bytes(size, "big")
    else:
        head |= len(body)
    identifier = id_.to_bytes(2 if id_ > 255 else 1, "big")
    if id_ > 255:
        head |= 0x20
    return bytes([head]) + identifier + length + body


def tlv_value(type_, value, wide=0):
    if type_ in TEXTS:
        return value.encode()
    if type_ in ("INTEGER", "TIME"):
        sizes = [n for n in (1, 2, 4, 8) if -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1]
        return value.to_bytes(sizes[min(wide, len(sizes) - 1)], "big", signed=True)
    if type_ == "UNSIGNED_INTEGER":
        sizes = [n for n in (1, 2, 4, 8) if value < 1 << 8 * n]
        return value.to_bytes(sizes[min(wide, len(sizes) - 1)], "big")
    if type_ == "FLOAT":
        narrow = abs(value) < 1e38 and struct.unpack(">f", struct.pack(">f", value))[0] == value and not wide
        return struct.pack(">f" if narrow else ">d", value)
    if type_ == "BOOLEAN":
        return bytes([value])
    if type_ == "OPAQUE":
        return value
    return struct.pack(">HH", *value)


def tlv_meaning(type_, body):
    """The value of a body, given its type."""
    if type_ in TEXTS:
        return body.decode()
    if type_ in ("INTEGER", "TIME", "UNSIGNED_INTEGER"):
        assert len(body) in (0, 1, 2, 4, 8)
        return int.from_bytes(body, "big", signed=type_ != "UNSIGNED_INTEGER")
    if type_ == "FLOAT":
        return struct.unpack(">f" if len(body) == 4 else ">d", body)[0]
    if type_ == "BOOLEAN":
        assert body in (b"\0", b"\1")
        return body == b"\1"
    if type_ == "OPAQUE":
        return body
    return struct.unpack(">HH", body)


def tlv_items(data):
    while data:
        head, at = data[0], 1
        width = 2 if head & 0x20 else 1
        id_ = int.from_bytes(data[at:at + width], "big")
        at += width
        size = head >> 3 & 3
        length = int.from_bytes(data[at:at + size], "big") if size else head & 7
        at += size
        assert at + length <= len(data)
        yield head >> 6, id_, data[at:at + length]
        data = data[at + length:]


def tlv_read(data, base):
    """(path, body) of each value."""
    for kind, id_, body in tlv_items(data):
        if kind == INSTANCE:
            assert len(base) == 1 or base[1] == id_
            yield from tlv_read(body, (base[0], id_))
        elif kind == MULTIPLE:
            yield from (((*base[:2], id_, n), value) for _, n, value in tlv_items(body))
        elif kind == RESOURCE:
            yield (*base[:2], id_), body
        else:
            yield (*base[:3], id_), body


def tlv_write(records, base, wide=lambda: 0):
    """Records sorted by path. Below an object each instance is wrapped."""
    instances = {}
    for path, type_, _, value in records:
        instances.setdefault(path[1], {}).setdefault(path[2], []).append((path, type_, value))
    out = b""
    for instance, resources in instances.items():
        body = b""
        for resource, values in resources.items():
            if len(values[0][0]) == 4:
                inner = b"".join(tlv_item(RESOURCE_INSTANCE, p[3], tlv_value(t, v, wide()), wide())
                                 for p, t, v in values)
                body += tlv_item(MULTIPLE, resource, inner, wide())
            else:
                _, type_, value = values[0]
                body += tlv_item(RESOURCE, resource, tlv_value(type_, value, wide()), wide())
        out += tlv_item(INSTANCE, instance, body, wide()) if len(base) == 1 else body
    return out
