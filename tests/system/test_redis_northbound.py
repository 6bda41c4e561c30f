# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Backends that have nothing but Redis: events by streams, requests by a stream, answers by streams."""

import json
import re
import secrets
import time

import pytest

import shoal
from coap_peer import GET, TEXT, Device, unique
from redis_peer import RedisError, Server, fields

PREFIX, REPLIES = "shoal:", "answers"
FAST = ["--redis-requests=yes", "--redis-require-token=no", "--redis-claim-after", "2s",
        "--coap-ack-timeout", "500ms", "--lwm2m-awake-time", "2s"]


@pytest.fixture
def redis(tmp_path):
    with Server(tmp_path) as server:
        yield server


@pytest.fixture
def backend(redis):
    with Backend(redis) as b:
        yield b


@pytest.fixture
def node(start, redis, tmp_path):
    """node(*options, id=) starts a node over this Redis."""
    key = tmp_path / "cluster.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)

    def begin(*options, id=1):
        return start("--node-cluster-key-file", str(key), "--node-id", str(id), *FAST, *options, store=redis.url)

    return begin


def met(*nodes):
    """Until each knows the others: before that they may take its devices for those of a dead node."""
    shoal.wait_until(lambda: all(n.log.count(" node-there ") >= len(nodes) - 1 for n in nodes), what="nodes that meet")
    return nodes


class Backend:
    """What a backend does, with one connection."""

    def __init__(self, redis):
        self.redis = redis.client()
        self.compact = False  # the events are, so nobody tells how many streams there are

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.redis.close()

    def ask(self, ep, ticket=None, reply=REPLIES, **more):
        """Sends a request; members of `req` that are no fields of the entry are named by `req_` in front."""
        req = {k[4:]: v for k, v in more.items() if k.startswith("req_")}
        words = {k: v for k, v in more.items() if not k.startswith("req_")}
        if req:
            words["req"] = json.dumps(req)
        ticket = ticket or secrets.token_hex(8)
        flat = [x for pair in {"ticket": ticket, "ep": ep, "reply": reply, **words}.items() for x in pair]
        self.redis("XADD", PREFIX + "requests", "*", *flat)
        return ticket

    def read(self, ep, path, **more):
        return self.ask(ep, req_kind="read", req_path=path, **more)

    def told(self, stream=REPLIES):
        """All that the stream of answers has."""
        return [fields(entry[1]) for entry in self.redis("XRANGE", stream, "-", "+")]

    def of(self, ticket, stream=REPLIES):
        return [a for a in self.told(stream) if a["ticket"] == ticket]

    def final(self, ticket, timeout=15.0, stream=REPLIES):
        """The answer of a ticket; fails if there is a second one a moment later."""
        def find():
            return [a for a in self.of(ticket, stream) if a["type"] != "ack" and "repeat" not in a]
        shoal.wait_until(find, timeout, f"the answer of {ticket}")
        time.sleep(0.2)
        assert len(find()) == 1, self.of(ticket, stream)
        return find()[0]

    def acks(self, ticket, stream=REPLIES):
        return [a["ack"] for a in self.of(ticket, stream) if a["type"] == "ack" and "repeat" not in a]

    def ack(self, ticket, word):
        shoal.wait_until(lambda: word in self.acks(ticket), what=f"{word} of {ticket}")

    def waits(self):
        """Entries of the stream of requests that are not done."""
        return self.redis("XLEN", PREFIX + "requests")

    def partitions(self):
        return int(shoal.wait_until(lambda: self.redis("GET", PREFIX + "partitions") or self.compact and b"256",
                                    what="the number of streams"))

    def events(self):
        """{partition: events in order} of all streams that have some."""
        found = {}
        for p in range(self.partitions()):
            entries = self.redis("XRANGE", f"{PREFIX}{{p{p}}}e", "-", "+")
            if entries:
                found[p] = [fields(e[1]) for e in entries]
        return found


def rejoin(d, **more):
    """Registers at a node that has to take the device over from one that died, as soon as that is known."""
    def registered():
        message, end = d.send(d.register_message(**more)), time.monotonic() + 0.5
        while (left := end - time.monotonic()) > 0:
            answer = d.receive(left)
            if answer and answer.mid == message.mid:
                return answer.text == "2.01"
        return False
    shoal.wait_until(registered, 15, "a node that takes the device over")


# ---- events ----

def test_an_event_is_what_readers_over_http_get(node, backend):
    daemon = node()
    with Device(daemon.coap_port) as d, daemon.events() as events:
        d.register()
        d.update("lt=100")
        d.register()
        d.deregister()
        events.wait(lambda e: e.name == "DEREGISTRATION" and e.data["reason"] == "client")
        seen = events.seen
        streams = backend.events()
    assert len(streams) == 1
    (stored,) = streams.values()
    assert [e["type"] for e in stored] == ["REGISTRATION", "UPDATED", "REGISTRATION", "DEREGISTRATION"]
    assert all(e["ep"] == d.endpoint for e in stored)
    by_http = {e.id: e for e in seen}
    for e in stored:
        assert json.loads(e["json"]) == by_http[e["id"]].data and by_http[e["id"]].name == e["type"]
        assert abs(int(e["time"]) - time.time() * 1000) < 60000
    # The registration that was replaced is told beside the one that took its place.
    assert json.loads(stored[2]["replaced"]) == by_http[stored[2]["id"] + ".0"].data
    assert stored[0]["replaced"] == ""


def test_notifications_and_sends(node, backend):
    daemon = node()
    with Device(daemon.coap_port) as d:
        d.register()
        ticket = backend.ask(d.endpoint, req_kind="observe", req_path="/3303/0/5700")
        observe = d.serve_one("2.05", b"20.5", TEXT, [(6, b"\x01")])
        assert json.loads(backend.final(ticket)["json"])["content"]["value"] == "20.5"
        d.notify(observe, 2, b"21.5")
        d.expect(lambda m: m.type == 2)
        (event,) = [e for events in backend.events().values() for e in events if e["type"] == "NOTIFICATION"]
        told = json.loads(event["json"])
        assert told["ep"] == d.endpoint and told["res"] == "/3303/0/5700" and told["val"]["value"] == "21.5"


def test_compact_streams_have_no_json(node, backend):
    daemon = node("--redis-events", "compact")
    backend.compact = True
    with Device(daemon.coap_port) as d:
        d.register()
    (stored,) = backend.events().values()
    assert "json" not in stored[0]


def test_two_consumers_one_killed_nothing_missing_in_order(node, redis, backend):
    daemon = node()
    count, rounds = 12, 8
    devices = [Device(daemon.coap_port) for _ in range(count)]
    keys = [f"{PREFIX}{{p{p}}}e".encode() for p in range(backend.partitions())]
    for d in devices:
        d.register()
    for key in keys:
        backend.redis("XGROUP", "CREATE", key, "mine", "0", "MKSTREAM")
    got = []

    def consume(client, name, acknowledge):
        answer = client("XREADGROUP", "GROUP", "mine", name, "COUNT", 3, "STREAMS", *keys, *[">"] * len(keys))
        for key, entries in answer or []:
            for entry in entries:
                if acknowledge:
                    got.append((key, entry))
                    client("XACK", key, "mine", entry[0])

    with redis.client() as one, redis.client() as other:
        for i in range(rounds):
            for d in devices:
                d.update(f"lt={100 + i}")
            consume(one, "one", False)  # it dies before it has done anything with them
            consume(other, "other", True)
    # The survivor takes over what the dead one had, and then the rest.
    for key in keys:
        cursor = b"0-0"
        while True:
            cursor, entries = backend.redis("XAUTOCLAIM", key, "mine", "other", 0, cursor)[:2]
            for entry in entries:
                got.append((key, entry))
                backend.redis("XACK", key, "mine", entry[0])
            if cursor == b"0-0":
                break
    while True:
        before = len(got)
        consume(backend.redis, "other", True)
        if len(got) == before:
            break
    for d in devices:
        # In the order of their ids, which is that of the events, whoever had them first.
        own = sorted((tuple(map(int, entry[0].split(b"-"))), fields(entry[1])) for key, entry in got
                     if fields(entry[1])["ep"] == d.endpoint)
        assert [e["type"] for _, e in own] == ["REGISTRATION"] + ["UPDATED"] * rounds
        assert [json.loads(e["json"])["registration"]["lifetime"] for _, e in own[1:]] == \
            [100 + i for i in range(rounds)]
        assert len({key for key, entry in got if fields(entry[1])["ep"] == d.endpoint}) == 1
        d.close()
    assert len(got) == len({(key, entry[0]) for key, entry in got}) == count * (rounds + 1)


def test_trimming_waits_for_groups_and_tells_what_it_could_not_keep(node, redis, backend):
    daemon = node("--store-journal-size-max", "65536", "--store-journal-age-max", "1s")
    with Device(daemon.coap_port) as d:
        d.register()
        key = f"{PREFIX}{{p{next(iter(backend.events()))}}}e"
        backend.redis("XGROUP", "CREATE", key, "slow", "0")
        time.sleep(2.5)
        assert backend.redis("XRANGE", key, "-", "+"), "an event that a group has not got was dropped"

        def lost():
            for i in range(20):
                d.update(f"lt={1000 + i}")
            return [e for e in map(lambda e: fields(e[1]), backend.redis("XRANGE", key, "-", "+"))
                    if e["type"] == "LOST"]
        told = shoal.wait_until(lost, 60, "LOST", interval=0.1)[0]
        gap = json.loads(told["json"])
        assert gap["from"] < gap["to"] <= int(told["time"])


# ---- requests ----

KINDS = [
    ({"kind": "read", "path": "/3/0/9"}, "GET", "/3/0/9", "2.05", b"77", "CONTENT(205)"),
    ({"kind": "discover", "path": "/3/0"}, "GET", "/3/0", "2.05", b"</3/0>,</3/0/9>", "CONTENT(205)"),
    ({"kind": "write", "path": "/1/0/1", "node": {"id": 1, "type": "INTEGER", "value": "60"}}, "PUT", "/1/0/1",
     "2.04", b"", "CHANGED(204)"),
    ({"kind": "write", "path": "/1/0", "mode": "UPDATE",
      "node": {"id": 0, "resources": [{"id": 1, "type": "INTEGER", "value": "60"}]}}, "POST", "/1/0", "2.04", b"",
     "CHANGED(204)"),
    ({"kind": "writeAttributes", "path": "/3/0/9", "observeSpec": "pmin=1&pmax=9"}, "PUT", "/3/0/9", "2.04", b"",
     "CHANGED(204)"),
    ({"kind": "execute", "path": "/3/0/4", "parameters": "0='a'"}, "POST", "/3/0/4", "2.04", b"", "CHANGED(204)"),
    ({"kind": "create", "path": "/3303", "instanceId": 7,
      "resources": [{"id": 5700, "type": "FLOAT", "value": "1.5"}]}, "POST", "/3303", "2.01", b"", "CREATED(201)"),
    ({"kind": "delete", "path": "/3303/0"}, "DELETE", "/3303/0", "2.02", b"", "DELETED(202)"),
    ({"kind": "readComposite", "paths": ["/3/0/9", "/1/0/1"]}, "FETCH", "/", "2.05",
     b'[{"n":"/3/0/9","v":77},{"n":"/1/0/1","v":60}]', "CONTENT(205)"),
    ({"kind": "writeComposite", "nodes": {"/1/0/1": {"id": 1, "type": "INTEGER", "value": "60"}}}, "IPATCH", "/",
     "2.04", b"", "CHANGED(204)"),
]
METHODS = ["", "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "IPATCH"]
FORMATS = {"discover": 40, "readComposite": 110}


@pytest.fixture
def device(node):
    daemon = node()
    with Device(daemon.coap_port) as d:
        d.daemon = daemon
        d.register(links=b'</>;ct="110 112",</1/0>,</3/0>,</3303/0>')
        yield d


def test_every_kind_of_request(device, backend):
    for req, method, path, code, payload, status in KINDS:
        ticket = backend.ask(device.endpoint, req=json.dumps(req))
        request = device.serve_one(code, payload, FORMATS.get(req["kind"], TEXT) if payload else None)
        assert (METHODS[request.code], request.path) == (method, path), req
        answer = backend.final(ticket)
        assert answer["type"] == "result", answer
        assert json.loads(answer["json"])["status"] == status, req
        assert backend.acks(ticket) == ["accepted"]
    shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")
    assert backend.redis("XPENDING", PREFIX + "requests", "shoal")[0] == 0


def test_a_device_that_refuses_has_answered(device, backend):
    ticket = backend.read(device.endpoint, "/3/0/99")
    device.serve_one("4.04")
    assert json.loads(backend.final(ticket)["json"])["status"] == "NOT_FOUND(404)"


def test_accepted_comes_before_the_answer(device, backend):
    ticket = backend.read(device.endpoint, "/3/0/9")
    request = device.next_request()
    backend.ack(ticket, "accepted")
    assert len(backend.of(ticket)) == 1
    device.answer(request, "2.05", b"1", format=TEXT)
    assert backend.final(ticket)["type"] == "result"
    assert [a["type"] for a in backend.of(ticket)] == ["ack", "result"]


def test_an_observation_and_its_end(device, backend):
    ticket = backend.ask(device.endpoint, req_kind="observe", req_path="/3303/0/5700")
    device.serve_one("2.05", b"1", TEXT, [(6, b"\x01")])
    assert backend.final(ticket)["type"] == "result"
    ticket = backend.ask(device.endpoint, req_kind="cancelObserve", req_path="/3303/0/5700")
    assert device.serve_one("2.05", b"1", TEXT).number(6) == 1
    assert backend.final(ticket)["type"] == "result"
    ticket = backend.ask(device.endpoint, req_kind="cancelObserve", req_path="/3303/0/5700")
    answer = backend.final(ticket)
    assert (answer["type"], answer["error"]) == ("error", "no-observation")


# ---- faults: each request is answered, whatever is wrong with it ----

def refused(backend, ticket, error, stream=REPLIES):
    answer = backend.final(ticket, stream=stream)
    assert (answer["type"], answer["error"]) == ("error", error), answer
    assert backend.acks(ticket, stream) == ["refused"]
    shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")
    return answer


def test_an_unknown_device(device, backend):
    assert "nobody" in refused(backend, backend.read("nobody", "/3/0"), "unknown-device")["message"]


BAD = [
    "", "{", "[]", "7", '{"kind":"read"', '{"kind":"read"}', '{"path":"/3"}', '{"kind":"fly","path":"/3"}',
    '{"kind":"read","path":"/3//0"}', '{"kind":"read","path":7}', '{"kind":"execute","path":"/3/0"}',
    '{"kind":"write","path":"/3/0/1"}', '{"kind":"write","path":"/3/0/1","node":[]}',
    '{"kind":"write","path":"/3/0/1","mode":"ADD","node":{}}', '{"kind":"create","path":"/3303"}',
    '{"kind":"writeAttributes","path":"/3/0","observeSpec":"pmin=1 &"}', '{"kind":"read","kind":"read","path":"/3"}',
    '{"kind":"read","path":"/3","contentFormat":9999}', '{"kind":"readComposite","paths":[]}', "[" * 5000,
    '{"kind":"read","path":"/3","x":' + "[" * 50 + "]" * 50 + "}"]


def test_bad_json(device, backend):
    for req in BAD:
        refused(backend, backend.ask(device.endpoint, req=req), "invalid")
    device.silence(0.1)


def test_bad_fields(device, backend):
    for more in ({"timeout": "soon"}, {"timeout": 601}, {"ttl": "-1"}):
        refused(backend, backend.read(device.endpoint, "/3/0", **more), "invalid")
    refused(backend, backend.read("x" * 256, "/3/0"), "invalid")
    # Without a ticket, or a stream for the answer, there is one for all.
    backend.redis("XADD", PREFIX + "requests", "*", "ep", device.endpoint)
    backend.redis("XADD", PREFIX + "requests", "*", "ticket", "t1", "reply", "a}b", "ep", device.endpoint)
    assert refused(backend, "t1", "invalid", PREFIX + "replies")
    assert refused(backend, "", "invalid", PREFIX + "replies")["entry"]
    # An entry that is no request at all.
    backend.redis("XADD", PREFIX + "requests", "*", "x", "y")
    shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")
    device.silence(0.1)


def test_a_request_whose_time_was_over(node, backend):
    ticket = backend.read("nobody", "/3/0", ttl=1)
    time.sleep(1.5)
    node()
    refused(backend, ticket, "expired")


def test_what_was_sent_before_there_was_a_node(node, backend):
    ticket = backend.read("nobody", "/3/0")
    node()
    refused(backend, ticket, "unknown-device")


def test_a_silent_device(device, backend):
    ticket = backend.read(device.endpoint, "/3/0/9", timeout=1)
    answer = backend.final(ticket)
    assert (answer["type"], answer["error"], answer["status"]) == ("error", "timeout", "504")
    assert backend.acks(ticket) == ["accepted"]


def test_the_same_ticket_again(device, backend):
    ticket = backend.ask(device.endpoint, req_kind="execute", req_path="/3/0/4")
    request = device.next_request()
    backend.ask(device.endpoint, ticket, req_kind="execute", req_path="/3/0/4")
    shoal.wait_until(lambda: [a for a in backend.of(ticket) if "repeat" in a], what="a word on the second")
    device.answer(request, "2.04")
    backend.final(ticket)
    backend.ask(device.endpoint, ticket, req_kind="execute", req_path="/3/0/4")
    again = shoal.wait_until(lambda: [a for a in backend.of(ticket) if "repeat" in a and a["type"] == "result"],
                             what="the answer again")
    assert json.loads(again[0]["json"])["status"] == "CHANGED(204)"
    device.silence(0.5)
    shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")
    # It is remembered for a while, not for ever.
    assert 0 < backend.redis("PTTL", f"{PREFIX}ticket:{{{REPLIES}}}:{ticket}") <= 3600 * 1000
    assert 0 < backend.redis("PTTL", REPLIES) <= 3600 * 1000


def sleeper(daemon, d):
    d.register(links=b"</1/0>,</3/0>", query=["b=U", "Q"])
    shoal.wait_until(lambda: daemon.client(d.endpoint)["sleeping"], what="asleep")


def test_a_sleeping_device(node, backend):
    daemon = node()
    with Device(daemon.coap_port) as d:
        sleeper(daemon, d)
        answered = backend.read(d.endpoint, "/3/0/9")
        expired = backend.read(d.endpoint, "/3/0/10", ttl=3)
        backend.ack(answered, "queued")
        backend.ack(expired, "queued")
        assert backend.acks(answered) == ["queued"]
        assert backend.waits() == 0
        told = backend.of(answered)[0]
        assert daemon.get(f"/api/requests/{told['requestId']}").json["state"] == "queued"
        answer = backend.final(expired)
        assert (answer["type"], answer["error"]) == ("error", "expired")
        backend.read(d.endpoint, "/3/0/9", ticket=answered)
        shoal.wait_until(lambda: [a for a in backend.of(answered) if "repeat" in a and a["ack"] == "queued"],
                         what="a word on the second")
        assert len(daemon.get(f"/api/clients/{d.endpoint}/requests").json) == 2
        d.update()
        assert d.serve_one("2.05", b"77", TEXT).path == "/3/0/9"
        result = json.loads(backend.final(answered, timeout=1)["json"])
        assert result["content"]["value"] == "77"
        shoal.wait_until(lambda: backend.redis("HLEN", PREFIX + "{waiting}requests") == 0, what="nothing kept")


def test_nobody_was_there_when_a_sleeping_device_answered(node, redis, backend):
    """The end is found, though the node that stored it had no chance to tell it."""
    daemon = node()
    with Device(daemon.coap_port) as d:
        sleeper(daemon, d)
        ticket = backend.read(d.endpoint, "/3/0/9")
        backend.ack(ticket, "queued")
        kept = backend.redis("HGETALL", PREFIX + "{waiting}requests")
        backend.redis("DEL", PREFIX + "{waiting}requests")
        d.update()
        d.serve_one("2.05", b"77", TEXT)
        time.sleep(0.5)
        assert len(backend.of(ticket)) == 1
        backend.redis("HSET", PREFIX + "{waiting}requests", *kept)
        backend.redis("ZADD", PREFIX + "{waiting}when", 1, kept[0])
        assert json.loads(backend.final(ticket)["json"])["content"]["value"] == "77"


def test_a_sleeping_device_and_a_node_that_dies(node, backend):
    daemon = node()
    with Device(daemon.coap_port) as d:
        sleeper(daemon, d)
        ticket = backend.read(d.endpoint, "/3/0/9")
        backend.ack(ticket, "queued")
        daemon.kill()
        daemon.start()
        rejoin(d, links=b"</1/0>,</3/0>", query=["b=U", "Q"])
        assert d.serve_one("2.05", b"77", TEXT).path == "/3/0/9"
        assert json.loads(backend.final(ticket)["json"])["content"]["value"] == "77"


@pytest.mark.parametrize("kind,path,repeats", [("read", "/3/0/9", True), ("execute", "/3/0/4", False)])
def test_a_node_that_dies_after_it_sent(node, backend, kind, path, repeats):
    daemon = node()
    with Device(daemon.coap_port) as d:
        d.register()
        ticket = backend.ask(d.endpoint, req_kind=kind, req_path=path)
        d.next_request()
        daemon.kill()
        d.drain()
        daemon.start()
        if repeats:
            rejoin(d)
            assert d.serve_one("2.05", b"1", TEXT).path == path
            assert backend.final(ticket)["type"] == "result"
        else:
            answer = backend.final(ticket)
            assert (answer["type"], answer["error"]) == ("error", "outcome-unknown")
            d.silence(0.3)
        shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")


def test_a_node_that_dies_before_it_sent(node, redis, backend):
    """It has read the entry, and nothing more."""
    daemon = node()
    with Device(daemon.coap_port) as d:
        shoal.wait_until(lambda: backend.redis("EXISTS", PREFIX + "requests"), what="the group of the nodes")
        daemon.kill()
        ticket = backend.ask(d.endpoint, req_kind="execute", req_path="/3/0/4")
        with redis.client() as dead:
            assert dead("XREADGROUP", "GROUP", "shoal", "dead-1", "STREAMS", PREFIX + "requests", ">")
        daemon.start()
        d.register()
        assert d.serve_one("2.04").path == "/3/0/4"
        assert backend.final(ticket)["type"] == "result"
        d.silence(0.3)


@pytest.mark.parametrize("kind,path,repeats", [("read", "/3/0/9", True), ("execute", "/3/0/4", False)])
def test_the_owner_of_the_device_dies_and_not_the_node_that_had_the_request(node, backend, kind, path, repeats):
    owner, other = met(node("--redis-requests=no", "--cluster-lease", "1s"), node("--cluster-lease", "1s", id=2))
    with Device(owner.coap_port) as d:
        d.register()
        ticket = backend.ask(d.endpoint, req_kind=kind, req_path=path, timeout=20)
        d.next_request()
        owner.kill()
        d.drain()
        d.server = (d.host, other.coap_port)
        rejoin(d)
        if repeats:
            assert d.serve_one("2.05", b"1", TEXT, timeout=10).path == path
            assert backend.final(ticket)["type"] == "result"
        else:
            answer = backend.final(ticket)
            assert (answer["type"], answer["error"]) == ("error", "outcome-unknown")
        d.silence(0.3)


def test_any_node_serves_any_device(node, backend):
    owner, other = met(node("--redis-requests=no"), node(id=2))
    with Device(owner.coap_port) as d:
        d.register()
        for _ in range(5):
            ticket = backend.read(d.endpoint, "/3/0/9")
            d.serve_one("2.05", b"1", TEXT)
            assert backend.final(ticket)["type"] == "result"
    assert other.alive


def test_a_node_that_is_stopped_leaves_its_requests_to_others(node, backend):
    daemon, other = met(node("--cluster-lease", "1s"), node("--redis-requests=no", "--cluster-lease", "1s", id=2))
    with Device(other.coap_port) as d:
        d.register()
        ticket = backend.read(d.endpoint, "/3/0/9", timeout=30)
        d.next_request()
        assert daemon.stop() == 0, daemon.log
        assert "Sanitizer" not in daemon.log
        shoal.wait_until(lambda: backend.waits() == 1, what="the request")
        d.drain()
        daemon.start()

        def answered():
            request = d.receive(0.2)  # the one that was passed on before may come once more, too
            if request and request.code == GET:
                d.answer(request, "2.05", b"1", format=TEXT)
            return backend.of(ticket)[1:]

        shoal.wait_until(answered, 20, "an answer")
        assert backend.final(ticket)["type"] == "result"
        assert daemon.stop() == 0 and "Sanitizer" not in daemon.log


def test_a_long_request_is_not_taken_over(node, backend):
    daemon, other = met(node(), node(id=2))
    with Device(daemon.coap_port) as d:
        d.register()
        ticket = backend.ask(d.endpoint, req_kind="execute", req_path="/3/0/4", timeout=20)
        d.acknowledge(d.next_request())
        time.sleep(6)  # three times what it takes to be taken for dead
        d.silence(0.1)
        assert [a["type"] for a in backend.of(ticket)] == ["ack"]
    assert other.alive


# ---- Redis itself ----

def test_a_stream_of_the_wrong_type(node, backend):
    backend.redis("SET", PREFIX + "requests", "x")
    daemon = node()
    shoal.wait_until(lambda: "requests-not-read" in daemon.log, what="a word in the log")
    backend.redis("DEL", PREFIX + "requests")
    with Device(daemon.coap_port) as d:
        d.register()
        backend.redis("SET", "scalar", "x")
        backend.ask(d.endpoint, reply="scalar", req_kind="execute", req_path="/3/0/4")
        # Nobody could be told what became of it: so nothing is done.
        shoal.wait_until(lambda: "request-not-answered" in daemon.log, what="a word in the log")
        shoal.wait_until(lambda: backend.waits() == 0, what="an empty stream of requests")
        d.silence(0.3)
        ticket = backend.read(d.endpoint, "/3/0/9")
        d.serve_one("2.05", b"1", TEXT)
        assert backend.final(ticket)["type"] == "result"


def test_redis_loses_all_streams(device, backend):
    """Somebody deletes the stream of requests: the group is made anew."""
    backend.redis("DEL", PREFIX + "requests")
    ticket = backend.read(device.endpoint, "/3/0/9")
    device.serve_one("2.05", b"1", TEXT)
    assert backend.final(ticket)["type"] == "result"


def test_redis_out_of_memory(device, backend):
    used = int(fields_of_info(backend)["used_memory"])
    ticket = backend.ask(device.endpoint, req_kind="execute", req_path="/3/0/4")
    request = device.next_request()
    # Full after it was begun: the answer is still told.
    backend.redis("CONFIG", "SET", "maxmemory", used // 2)
    device.answer(request, "2.04")
    assert backend.final(ticket)["type"] == "result"
    with pytest.raises(RedisError, match="OOM"):
        backend.read(device.endpoint, "/3/0/9")
    backend.redis("CONFIG", "SET", "maxmemory", 0)
    ticket = backend.read(device.endpoint, "/3/0/9")
    device.serve_one("2.05", b"1", TEXT)
    assert backend.final(ticket)["type"] == "result"


def fields_of_info(backend, section="default"):
    return dict(line.split(":", 1) for line in backend.redis("INFO", section).decode().split("\r\n") if ":" in line)


def test_the_connection_to_redis_is_cut(device, backend):
    for kind in ("normal", "normal"):
        for line in backend.redis("CLIENT", "LIST", "TYPE", kind).decode().splitlines():
            client = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if client["cmd"] != "client|list":
                backend.redis("CLIENT", "KILL", "ID", client["id"])
        ticket = backend.read(device.endpoint, "/3/0/9")
        device.serve_one("2.05", b"1", TEXT, timeout=10)
        assert backend.final(ticket)["type"] == "result"


def test_more_requests_than_may_wait_are_refused_with_an_answer(node, backend):
    daemon = node("--redis-requests-max", "100", "--coap-max-waiting", "1000")
    with Device(daemon.coap_port) as d:
        d.register()
        tickets = [backend.read(d.endpoint, "/3/0/9", timeout=20) for _ in range(600)]
        d.next_request()
        shoal.wait_until(lambda: backend.waits() <= 256, 20, "a shorter stream")
        refused = {a["ticket"] for a in backend.told() if a["type"] == "error" and a["error"] == "unavailable"}
        assert len(refused) >= 600 - 256 - 100
        assert len(tickets) == len(set(tickets))


# ---- who may ----

def test_tokens(node, backend):
    daemon = node("--redis-require-token=yes")
    reader = daemon.http("POST", "/api/tokens", {"role": "read"}).json["token"]
    operator = daemon.http("POST", "/api/tokens", {"role": "operate"}).json["token"]
    with Device(daemon.coap_port) as d:
        d.register()
        execute = {"req_kind": "execute", "req_path": "/3/0/4"}
        refused(backend, backend.ask(d.endpoint, **execute), "unauthorized")
        refused(backend, backend.ask(d.endpoint, token="shoal_0_0", **execute), "unauthorized")
        refused(backend, backend.ask(d.endpoint, token=reader, **execute), "unauthorized")
        d.silence(0.1)
        ticket = backend.ask(d.endpoint, token=operator, **execute)
        d.serve_one("2.04")
        assert backend.final(ticket)["type"] == "result"
        ticket = backend.read(d.endpoint, "/3/0/9", token=reader)
        d.serve_one("2.05", b"1", TEXT)
        assert backend.final(ticket)["type"] == "result"
    assert operator not in daemon.log


def test_the_acl_of_the_documents_is_enough(node, redis, backend):
    daemon = node()
    shoal.wait_until(lambda: backend.redis("EXISTS", PREFIX + "partitions"), what="the number of streams")
    (line,) = re.findall(r"^ACL SETUSER billing .*$", (shoal.ROOT / "docs/redis.md").read_text(), re.MULTILINE)
    backend.redis(*line.split())
    with Backend(redis) as billing, Device(daemon.coap_port) as d:
        billing.redis("AUTH", "billing", "secret")
        assert int(billing.redis("GET", PREFIX + "partitions")) == 256
        d.register()
        ticket = billing.read(d.endpoint, "/3/0/9")
        d.serve_one("2.05", b"1", TEXT)
        assert backend.final(ticket)["type"] == "result"
        assert billing.redis("XREAD", "COUNT", 10, "STREAMS", REPLIES, "0")
        (p,) = backend.events()
        key = f"{PREFIX}{{p{p}}}e"
        billing.redis("XGROUP", "CREATE", key, "billing", "0")
        (_, entries), = billing.redis("XREADGROUP", "GROUP", "billing", "w", "STREAMS", key, ">")
        assert billing.redis("XACK", key, "billing", entries[0][0]) == 1
        for forbidden in (["GET", f"{PREFIX}{{p{p}}}d:0:{d.endpoint}"], ["HGETALL", PREFIX + "{meta}"], ["KEYS", "*"],
                          ["XREAD", "STREAMS", PREFIX + "requests", "0"]):
            with pytest.raises(RedisError, match="NOPERM"):
                billing.redis(*forbidden)


def test_commands_of_the_nodes_are_documented(node, redis, backend):
    daemon = node("--redis-leshan-channels=yes")
    with Device(daemon.coap_port) as d:
        sleeper(daemon, d)
        ticket = backend.read(d.endpoint, "/3/0/9")
        backend.ack(ticket, "queued")
        d.update()
        d.serve_one("2.05", b"77", TEXT)
        backend.final(ticket)
        publish(backend, "t", d.endpoint, kind="observe", path="/3303/0/5700")
        observe = d.serve_one("2.05", b"1", TEXT, [(6, b"\x01")])
        d.notify(observe, 2, b"2")
        with redis.client() as dead:
            long = backend.read(d.endpoint, "/3/0/9", timeout=20)
            d.next_request()
            dead("XADD", PREFIX + "requests", "*", "x", "y")
            time.sleep(3)
        assert backend.of(long)
        d.deregister()
    store, own = ((shoal.ROOT / "docs" / name).read_text() for name in ("store.md", "redis.md"))
    (line,) = re.findall(r"^Commands of the nodes.*$", own, re.MULTILINE)
    words = re.findall(r"`([A-Z][A-Z ]+)`", store[store.index("## Commands"):].split("\n## ")[0] + line)
    known = {w.lower().replace(" ", "|") for w in words}
    used = {name.removeprefix("cmdstat_") for name in fields_of_info(backend, "commandstats")
            if name.startswith("cmdstat_")}
    # Those of this test.
    assert used - known - {"publish", "xadd", "xrange", "xlen", "info", "config|get"} == set()
    assert {"xreadgroup", "xack", "publish", "subscribe", "xclaim", "xautoclaim"} <= used


def test_off_unless_it_is_wanted(node, backend):
    daemon = node("--redis-requests=no")
    backend.compact = True
    backend.read("nobody", "/3/0")
    time.sleep(1.5)
    assert backend.told() == [] and backend.waits() == 1
    with Device(daemon.coap_port) as d:
        d.register()
    (stored,) = backend.events().values()
    assert "json" not in stored[0]
    assert unique() not in daemon.log


def test_a_store_that_is_not_redis(folder):
    answer = shoal.run("shoald", "--store-url", f"lmdb:{folder}/data", "--redis-requests=yes", "--http-listen",
                       "127.0.0.1:0", "--coap-listen", "127.0.0.1:0", "--dtls-listen", "none")
    assert answer.returncode == 2 and "redis://" in answer.stderr


# ---- the channels of Leshan's former cluster module ----

CHANNELS = ["LESHAN_RESP", "LESHAN_REG_NEW", "LESHAN_REG_UP", "LESHAN_REG_DEL"]


class Listener:
    """Subscribed to what the former module published."""

    def __init__(self, redis):
        self.redis = redis.client()
        self.redis.send("SUBSCRIBE", *CHANNELS)
        for _ in CHANNELS:
            self.redis.receive()

    def next(self, timeout=10.0):
        assert self.redis.waits(timeout), "nothing was published"
        kind, channel, text = self.redis.receive()
        assert kind == b"message"
        return channel.decode(), json.loads(text)

    def silence(self, seconds=0.5):
        assert not self.redis.waits(seconds), self.next()


@pytest.fixture
def former(node, redis, backend):
    """A node that serves them, and who listens."""
    daemon = node("--redis-requests=no", "--redis-leshan-channels=yes")
    shoal.wait_until(lambda: "leshan-channels-served" in daemon.log, what="the lease")
    shoal.wait_until(lambda: backend.redis("EXISTS", PREFIX + "{bridge}place"), what="a place in the log")
    daemon.listener = Listener(redis)
    yield daemon
    daemon.listener.redis.close()


def publish(backend, ticket, ep, **req):
    backend.redis("PUBLISH", "LESHAN_REQ", json.dumps({"ticket": ticket, "ep": ep, "req": req}))


def test_former_registrations(former):
    with Device(former.coap_port) as d:
        d.register(links=b'</3303>;ver="1.1",</3/0>', lt=200, query=["x=y"])
        channel, new = former.listener.next()
        assert channel == "LESHAN_REG_NEW"
        assert {k: new[k] for k in ("ep", "lt", "ver", "bnd", "address", "port", "addAttr", "root")} == {
            "ep": d.endpoint, "lt": 200, "ver": "1.1", "bnd": "U", "address": "127.0.0.1", "port": d.port,
            "addAttr": {"x": "y"}, "root": "/"}
        assert new["objLink"] == [{"url": "/3303", "at": {"ver": '"1.1"'}}, {"url": "/3/0", "at": {}}]
        assert new["regDate"] == new["lastUp"] and f"/rd/{new['regId']}" == d.location
        d.update("lt=100")
        channel, up = former.listener.next()
        assert channel == "LESHAN_REG_UP"
        assert up["regUpdate"] == {"regId": new["regId"], "address": "127.0.0.1", "port": d.port, "lt": 100}
        assert up["regUpdated"]["lt"] == 100 and up["regUpdated"]["ep"] == d.endpoint
        d.register()
        assert [former.listener.next()[0] for _ in range(2)] == ["LESHAN_REG_DEL", "LESHAN_REG_NEW"]
        d.deregister()
        channel, gone = former.listener.next()
        assert (channel, gone["ep"]) == ("LESHAN_REG_DEL", d.endpoint)


def test_former_requests(former, backend):
    listener = former.listener
    with Device(former.coap_port) as d:
        d.register(links=b"</1/0>,</3/0>,</3303/0>")
        listener.next()

        def ask(ticket, kind, path, answer, rep, **more):
            publish(backend, ticket, d.endpoint, kind=kind, path=path, **more)
            request = d.next_request()
            assert listener.next() == ("LESHAN_RESP", {"ticket": ticket, "ack": True})
            d.answer(request, *answer[:2], format=answer[2])
            assert listener.next() == ("LESHAN_RESP", {"ticket": ticket, "rep": rep})
            return request

        ask("t1", "read", "/3/0/9", ("2.05", b"77", TEXT),
            {"code": "CONTENT", "kind": "read",
             "content": {"id": 9, "type": "INTEGER", "kind": "singleResource", "value": 77}})
        ask("t2", "read", "/3/0", ("2.05", b'[{"bn":"/3/0/","n":"0","vs":"x"},{"n":"6/0","v":1}]', 110),
            {"code": "CONTENT", "kind": "read",
             "content": {"id": 0, "kind": "instance", "resources": {
                 "0": {"id": 0, "type": "STRING", "kind": "singleResource", "value": "x"},
                 "6": {"id": 6, "type": "INTEGER", "kind": "multipleResource", "values": {"0": 1}}}}})
        ask("t3", "discover", "/3", ("2.05", b'</3>;ver="1.1",</3/0>', 40),
            {"code": "CONTENT", "kind": "discover", "objectLinks": '</3>;ver="1.1",</3/0>'})
        written = ask("t4", "write", "/5/0/0", ("2.04", b"", None), {"code": "CHANGED", "kind": "write"},
                      mode="REPLACE", contentFormat=42,
                      node={"id": 0, "kind": "singleResource", "type": "OPAQUE", "value": "AQID"})
        assert written.payload == b"\1\2\3"
        ask("t5", "execute", "/3/0/4", ("4.05", b"", None), {"code": "METHOD_NOT_ALLOWED", "errorMessage": None})
        publish(backend, "t6", "nobody", kind="read", path="/3")
        assert listener.next()[1] == {"ticket": "t6", "ack": True}
        assert listener.next()[1] == {"ticket": "t6", "err": {
            "errorMessage": "No registration for this endpoint nobody."}}
        publish(backend, "t7", d.endpoint, kind="fly", path="/3")
        assert list(listener.next()[1]) == ["ticket", "err"]
        backend.redis("PUBLISH", "LESHAN_REQ", "{")
        listener.silence()


def test_former_notifications_have_the_ticket_of_their_observe(former, backend):
    listener = former.listener
    with Device(former.coap_port) as d:
        d.register()
        listener.next()
        publish(backend, "mine", d.endpoint, kind="observe", path="/3303/0/5700")
        observe = d.serve_one("2.05", b"20.5", TEXT, [(6, b"\x01")])
        assert [list(listener.next()[1])[1] for _ in range(2)] == ["ack", "rep"]
        for sequence, value in ((2, 21.5), (3, 22.0)):
            d.notify(observe, sequence, str(value).encode())
            d.expect(lambda m: m.type == 2)
            assert listener.next() == ("LESHAN_RESP", {"ticket": "mine", "rep": {
                "code": "CONTENT", "kind": "observe",
                "content": {"id": 5700, "type": "FLOAT", "kind": "singleResource", "value": value}}})
        assert backend.redis("HGETALL", f"{PREFIX}bridge:{d.endpoint}") == [b"/3303/0/5700", b"mine"]
        d.deregister()
        assert listener.next()[0] == "LESHAN_REG_DEL"
        assert not backend.redis("EXISTS", f"{PREFIX}bridge:{d.endpoint}")


def test_one_node_answers_for_all_and_another_goes_on(former, node, redis, backend):
    listener = former.listener
    second = node("--redis-requests=no", "--redis-leshan-channels=yes", id=2)
    time.sleep(1.2)
    publish(backend, "a", "nobody", kind="read", path="/3")
    assert [list(listener.next()[1])[1] for _ in range(2)] == ["ack", "err"]
    listener.silence()
    former.kill()
    # What happens while nobody has the lease is told by the next one.
    with Device(second.coap_port) as d:
        d.register()
        assert listener.next(10)[1]["ep"] == d.endpoint
        publish(backend, "b", d.endpoint, kind="read", path="/3/0/9")
        d.serve_one("2.05", b"1", TEXT)
        assert [list(listener.next()[1])[1] for _ in range(2)] == ["ack", "rep"]
        listener.silence()
