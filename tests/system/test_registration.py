# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The registration interface by raw datagrams (lwm2m.md, 1.2: the rows R1 to R19)."""

import time

import pytest

import coap_peer
import shoal
from coap_peer import CON, DELETE, GET, LINK, NON, POST, PUT, Device, Message, uint


@pytest.fixture
def device(daemon):
    with Device(daemon.coap_port) as d:
        yield d


@pytest.fixture(scope="module")
def strict():
    with shoal.temp_dir() as path, shoal.Daemon(path, "--lwm2m-strict") as running:
        yield running


def urls(registration):
    return [link["url"] for link in registration["objectLinks"]]


# ---- Register ----

def test_register_is_answered_with_a_location_of_two_short_segments(daemon, device):
    before = time.time()
    answer = device.register(query=["b=U"])
    assert answer.code == coap_peer.code("2.01")
    assert answer.payload == b""
    r = daemon.client(device.endpoint)
    assert device.location == "/rd/" + r["registrationId"]
    assert r["lwM2mVersion"] == "1.1" and r["lifetime"] == 300 and r["bindingMode"] == "U"
    assert r["address"] == f"127.0.0.1:{device.port}"
    assert r["secure"] is False and r["queuemode"] is False and r["rootPath"] == "/"
    assert before - 1 < r["registrationDate"] / 1000 < time.time() + 1
    assert r["lastUpdate"] == r["registrationDate"]
    assert urls(r) == ["/1/0", "/3/0", "/3303/0"]
    assert r["availableInstances"] == {"1": [0], "3": [0], "3303": [0]}
    assert "sleeping" not in r and "smsNumber" not in r


def test_register_over_ipv6(daemon):
    with Device(daemon.coap_port, host="::1") as d:
        d.register()
        assert daemon.client(d.endpoint)["address"] == f"[::1]:{d.port}"


@pytest.mark.parametrize("version, accepted", [("1.0", "1.0"), ("1.1", "1.1"), ("1.0.2", "1.0")])
def test_a_known_version_is_accepted(daemon, device, version, accepted):
    device.register(version=version)
    assert daemon.client(device.endpoint)["lwM2mVersion"] == accepted


@pytest.mark.parametrize("version", ["1.2", "2.0", "0.9", "9.9"])
def test_an_unsupported_version_is_refused_with_4_12_so_that_the_client_steps_down(daemon, device, version):
    assert device.exchange(device.register_message(version=version)).text == "4.12"
    assert daemon.client(device.endpoint) is None
    device.register(version="1.1")


@pytest.mark.parametrize("version", ["1", "x", "1.x", "", "1.1.1.1.1", "-1.0"])
def test_a_malformed_version_is_refused_with_4_00(daemon, device, version):
    assert device.exchange(device.register_message(version=version)).text == "4.00"
    assert daemon.client(device.endpoint) is None


def test_without_a_version_it_is_1_0(daemon, device):
    device.register(version=None)
    assert daemon.client(device.endpoint)["lwM2mVersion"] == "1.0"


def test_strict_refuses_a_register_without_version(strict):
    with Device(strict.coap_port) as d:
        assert d.exchange(d.register_message(version=None)).text == "4.00"
        d.register(version="1.0")


@pytest.mark.parametrize("query", [[], ["ep="], ["ep"]])
def test_without_an_endpoint_name_it_is_4_00(device, query):
    m = device.request(POST, "/rd", [*query, "lt=300", "lwm2m=1.1"], b"</3/0>", options=[(12, uint(LINK))])
    assert device.exchange(m).text == "4.00"


def test_without_lifetime_it_is_a_day(daemon, device):
    device.register(lt=None)
    assert daemon.client(device.endpoint)["lifetime"] == 86400


@pytest.mark.parametrize("lifetime", ["abc", "-1", "", "4294967296", "1.5", "99999999999999999999"])
def test_a_lifetime_that_is_no_32_bit_number_is_refused_and_nothing_is_registered(daemon, device, lifetime):
    assert device.exchange(device.register_message(lt=lifetime)).text == "4.00"
    device.silence(0.1)
    assert daemon.client(device.endpoint) is None


def test_lifetimes_up_to_32_bits_are_taken(daemon, device):
    device.register(lt=4294967295)
    assert daemon.client(device.endpoint)["lifetime"] == 4294967295


def test_a_lifetime_of_0_is_for_ever(start):
    daemon = start("--lwm2m-lifetime-grace", "0s")
    with Device(daemon.coap_port) as d, Device(daemon.coap_port) as mortal:
        d.register(lt=0)
        mortal.register(lt=1)
        shoal.wait_until(lambda: daemon.client(mortal.endpoint) is None, 5, "expiry")
        assert daemon.client(d.endpoint)["lifetime"] == 0


def test_unknown_query_parameters_are_kept(daemon, device):
    device.register(query=["et=sensor", "x=y=z", "vendor", "sms=4915112345", "e="])
    r = daemon.client(device.endpoint)
    assert r["smsNumber"] == "4915112345"
    assert r["additionalRegistrationAttributes"] == {"et": "sensor", "x": "y=z", "vendor": None, "e": ""}


@pytest.mark.parametrize("name", ['a b"c\\d', "urn:dev:ops:32473-Refrigerator-5002", "gerät-ü", "x" * 200, "a&b=c?d#e%20+"])
def test_endpoint_names_may_contain_anything(daemon, name):
    name = name + coap_peer.unique("-")
    with Device(daemon.coap_port, endpoint=name) as d, daemon.events() as events:
        d.register()
        assert daemon.client(name)["endpoint"] == name
        assert events.wait("REGISTRATION").data["endpoint"] == name


def test_an_endpoint_name_longer_than_an_option_can_be_is_refused(daemon):
    with Device(daemon.coap_port, endpoint="y" * 252) as d:
        d.register()
    with Device(daemon.coap_port, endpoint="y" * 253) as d:
        # Uri-Query is critical, and at most 255 bytes long (RFC 7252, 5.10).
        assert d.exchange(d.register_message()).text == "4.02"


@pytest.mark.parametrize("format", [None, 0, 11542])
def test_a_missing_or_wrong_content_format_is_accepted(daemon, device, format):
    device.register(format=format)
    assert urls(daemon.client(device.endpoint)) == ["/1/0", "/3/0", "/3303/0"]


def test_an_empty_token_is_a_token(device):
    answer = device.register(token=b"")
    assert answer.token == b""


@pytest.mark.parametrize("length", range(1, 9))
def test_tokens_of_any_length_are_echoed(device, length):
    token = bytes(range(length))
    assert device.register(token=token).token == token


def test_a_register_without_object_list_is_4_09(daemon, device):
    assert device.exchange(device.register_message(links=b"")).text == "4.09"
    assert daemon.client(device.endpoint) is None


def test_a_retransmitted_register_gets_the_same_location_and_registers_once(daemon, device):
    with daemon.events(f"?ep={device.endpoint}") as events:
        m = device.register_message()
        first = device.exchange(m)
        for _ in range(3):
            again = device.exchange(m)
            assert (again.code, again.location, again.token) == (first.code, first.location, first.token)
        device.location = first.location
        assert device.update().text == "2.04"
        events.wait("UPDATED")
        assert [e.name for e in events.seen] == ["REGISTRATION", "UPDATED"]


def test_a_rebooted_device_that_begins_with_the_same_message_id_is_registered_anew(daemon, device):
    device.register(mid=7)
    first = device.location
    device.register(mid=7, links=b"</3/0>")
    assert device.location != first
    assert urls(daemon.client(device.endpoint)) == ["/3/0"]


def test_a_second_register_replaces_the_first(daemon, device):
    with daemon.events(f"?ep={device.endpoint}") as events:
        device.register()
        old = device.location
        device.register(links=b"</3/0>", lt=500)
        assert device.location != old
        assert daemon.client(device.endpoint)["lifetime"] == 500
        assert device.exchange(device.request(POST, old)).text == "4.04"
        assert device.exchange(device.request(DELETE, old)).text == "4.04"
        assert device.update().text == "2.04"
        seen = events.wait_count(4)
        assert [e.name for e in seen] == ["REGISTRATION", "DEREGISTRATION", "REGISTRATION", "UPDATED"]
        assert seen[1].data["registrationId"] == old.removeprefix("/rd/")
        assert seen[2].data["registrationId"] == device.location.removeprefix("/rd/")


def test_a_non_confirmable_register_is_answered_non_confirmably(daemon, device):
    m = device.send(device.register_message(type=NON))
    answer = device.expect(lambda r: r.token == m.token)
    assert (answer.type, answer.text) == (NON, "2.01")
    assert daemon.client(device.endpoint)["registrationId"] == answer.location.removeprefix("/rd/")


def test_strict_refuses_a_non_confirmable_register(strict):
    with Device(strict.coap_port) as d:
        m = d.send(d.register_message(type=NON))
        assert d.expect(lambda r: r.token == m.token).text == "4.00"
        assert strict.client(d.endpoint) is None


@pytest.mark.parametrize("binding, queue, mode, is_queue", [
    ("U", None, "U", False), ("UQ", None, "UQ", True), ("UT", None, "UT", False), ("U", "Q", "U", True), (None, "Q", "U", True)])
def test_binding_and_queue_mode(daemon, device, binding, queue, mode, is_queue):
    version = "1.0" if binding == "UQ" else "1.1"
    query = ([f"b={binding}"] if binding else []) + ([queue] if queue else [])
    device.register(version=version, query=query)
    r = daemon.client(device.endpoint)
    assert (r["bindingMode"], r["queuemode"]) == (mode, is_queue)
    assert r.get("sleeping") == (False if is_queue else None)


def test_a_queue_mode_device_is_sleeping_when_its_awake_time_is_over(start):
    daemon = start("--lwm2m-awake-time", "1s")
    with Device(daemon.coap_port) as d:
        d.register(query=["Q"])
        assert daemon.client(d.endpoint)["sleeping"] is False
        shoal.wait_until(lambda: daemon.client(d.endpoint)["sleeping"], 3, "sleeping")
        d.update()
        assert daemon.client(d.endpoint)["sleeping"] is False


# ---- the object list ----

@pytest.mark.parametrize("links, instances", [
    (b"</1/0>,</3/0>", {"1": [0], "3": [0]}),
    (b"</1/0>, </3/0> ,  </3303/1>", {"1": [0], "3": [0], "3303": [1]}),
    (b"</3>;ver=1.1,</3/0>", {"3": [0]}),
    (b'</3>;ver="1.1",</3/0>', {"3": [0]}),
    (b"</44/0>;ver=2.2", {"44": [0]}),
    (b"</3/0/11/0>,</3/0/0>", {"3": [0]}),
    (b"</3/>,</3/0/>", {"3": [0]}),
    (b'</>;rt="oma.lwm2m";ct=110;ct=112,</3/0>', {"3": [0]}),
    (b'</>;rt="oma.lwm2m";ct="110 112 60",</3/0>;foo;bar=1;baz="a,b;c"', {"3": [0]}),
    (b"</0>,</0/0>,</21/0>,</23/0>,</3/0>", {"3": [0]}),
    (b"</3/0>,</3/0>,</3/0>", {"3": [0]}),
    (b"</nonsense>,</3/0>,</3/x>,</70000/0>", {"3": [0]}),
])
def test_odd_links_are_read_leniently(daemon, device, links, instances):
    device.register(links=links)
    found = daemon.client(device.endpoint)["availableInstances"]
    assert {k: v for k, v in found.items() if v} == instances


def test_link_attributes_are_shown_as_they_came(daemon, device):
    device.register(links=b'</>;rt="oma.lwm2m";ct=110,</3>;ver=1.1,</3/0>;x;y="a b"')
    assert daemon.client(device.endpoint)["objectLinks"] == [
        {"url": "/", "attributes": {"rt": '"oma.lwm2m"', "ct": "110"}},
        {"url": "/3", "attributes": {"ver": "1.1"}},
        {"url": "/3/0", "attributes": {"x": None, "y": '"a b"'}},
    ]


def test_requests_to_a_device_with_an_alternate_path_carry_it(daemon, device):
    device.register(links=b'</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>,</lwm2m/1/0>')
    r = daemon.client(device.endpoint)
    assert r["rootPath"] == "/lwm2m/"
    assert r["availableInstances"] == {"1": [0], "3": [0]}
    read = daemon.start_http("GET", f"/api/clients/{device.endpoint}/3/0/0")
    request = device.serve_one("2.05", b"acme", coap_peer.TEXT)
    assert request.path == "/lwm2m/3/0/0"
    assert read.result().json["content"]["value"] == "acme"


# ---- Update ----

def test_an_empty_update_refreshes_only(daemon, device):
    device.register(query=["b=U", "x=y"])
    before = daemon.client(device.endpoint)
    time.sleep(0.01)
    answer = device.update()
    assert (answer.text, answer.payload) == ("2.04", b"")
    after = daemon.client(device.endpoint)
    assert after["lastUpdate"] > before["lastUpdate"]
    assert {**after, "lastUpdate": 0} == {**before, "lastUpdate": 0}


def test_an_update_changes_what_it_names(daemon, device):
    device.register(query=["sms=1"])
    with daemon.events(f"?ep={device.endpoint}") as events:
        assert device.update("lt=77", "b=UT", "sms=2").text == "2.04"
        r = daemon.client(device.endpoint)
        assert (r["lifetime"], r["bindingMode"], r["smsNumber"]) == (77, "UT", "2")
        assert urls(r) == ["/1/0", "/3/0", "/3303/0"]
        data = events.wait("UPDATED").data
        assert data["registration"] == r
        assert data["update"]["lifetime"] == 77
        assert data["update"]["registrationId"] == r["registrationId"]
        assert "objectLinks" not in data["update"]


def test_a_payload_in_an_update_replaces_the_whole_list(daemon, device):
    device.register()
    with daemon.events(f"?ep={device.endpoint}") as events:
        assert device.update(links=b"</1/0>,</3303/0>,</3303/7>").text == "2.04"
        r = daemon.client(device.endpoint)
        assert r["availableInstances"] == {"1": [0], "3303": [0, 7]}
        assert [x["url"] for x in events.wait("UPDATED").data["update"]["objectLinks"]] == ["/1/0", "/3303/0", "/3303/7"]


def test_an_update_does_not_turn_queue_mode_off(daemon, device):
    device.register(query=["Q"])
    device.update("lt=400")
    assert daemon.client(device.endpoint)["queuemode"] is True


def test_an_update_from_another_address_moves_the_device(daemon, device):
    device.register()
    with Device(daemon.coap_port, endpoint=device.endpoint) as moved:
        moved.location = device.location
        assert moved.update().text == "2.04"
        assert daemon.client(device.endpoint)["address"] == f"127.0.0.1:{moved.port}"
        read = daemon.start_http("GET", f"/api/clients/{device.endpoint}/3/0/0")
        moved.serve_one("2.05", b"acme", coap_peer.TEXT)
        assert read.result().json["success"]
        device.silence(0.1)


@pytest.mark.parametrize("query", ["lt=abc", "lt=-5", "lt="])
def test_an_update_with_a_bad_parameter_is_4_00_and_changes_nothing(daemon, device, query):
    device.register()
    before = daemon.client(device.endpoint)
    assert device.update(query).text == "4.00"
    assert daemon.client(device.endpoint) == before


@pytest.mark.parametrize("method", [POST, DELETE])
@pytest.mark.parametrize("path", ["/rd/unknown", "/rd/0123456789", "/rd/" + "z" * 100])
def test_update_and_deregister_of_an_unknown_location_are_4_04(device, method, path):
    assert device.exchange(device.request(method, path)).text == "4.04"


def test_a_retransmitted_update_is_answered_again_and_done_once(daemon, device):
    device.register()
    with daemon.events(f"?ep={device.endpoint}") as events:
        m = device.update_message(["lt=50"])
        assert device.exchange(m).text == "2.04"
        assert device.update("lt=60").text == "2.04"
        assert device.exchange(m).text == "2.04"
        assert daemon.client(device.endpoint)["lifetime"] == 60
        assert device.update("lt=70").text == "2.04"
        assert [e.data["update"]["lifetime"] for e in events.wait_count(3)] == [50, 60, 70]


# ---- De-register and expiry ----

def test_deregister_removes_the_device(daemon, device):
    device.register()
    with daemon.events(f"?ep={device.endpoint}") as events:
        assert device.deregister().text == "2.02"
        assert daemon.client(device.endpoint) is None
        assert events.wait("DEREGISTRATION").data["endpoint"] == device.endpoint
    assert device.deregister().text == "4.04"
    assert device.update().text == "4.04"


def test_a_retransmitted_deregister_is_answered_again(daemon, device):
    device.register()
    m = device.request(DELETE, device.location)
    assert [device.exchange(m).text for _ in range(2)] == ["2.02", "2.02"]


def test_a_device_that_does_not_update_expires(start):
    daemon = start("--lwm2m-lifetime-grace", "0s")
    with Device(daemon.coap_port) as d, Device(daemon.coap_port) as diligent:
        begin = time.monotonic()
        with daemon.events() as events:
            d.register(lt=1)
            diligent.register(lt=2)
            gone = events.wait("DEREGISTRATION", 5)
            assert gone.data["endpoint"] == d.endpoint
            assert 0.9 < time.monotonic() - begin < 3
            assert daemon.client(d.endpoint) is None
            assert d.update().text == "4.04"
            assert diligent.update().text == "2.04"
            time.sleep(1.2)
            assert daemon.client(diligent.endpoint) is not None
            events.wait(lambda e: e.name == "DEREGISTRATION" and e.data["endpoint"] == diligent.endpoint, 5)


def test_the_grace_is_added_to_the_lifetime(start):
    daemon = start("--lwm2m-lifetime-grace", "2s")
    with Device(daemon.coap_port) as d:
        d.register(lt=1)
        time.sleep(1.6)
        assert d.update().text == "2.04"


# ---- what is no registration ----

@pytest.mark.parametrize("method", [GET, PUT, DELETE, coap_peer.FETCH, coap_peer.PATCH, coap_peer.IPATCH, 31])
def test_a_wrong_method_on_rd_is_4_05(device, method):
    assert device.exchange(device.request(method, "/rd")).text == "4.05"


@pytest.mark.parametrize("method", [GET, PUT])
def test_a_wrong_method_on_a_registration_is_4_05(device, method):
    device.register()
    assert device.exchange(device.request(method, device.location)).text == "4.05"


@pytest.mark.parametrize("path", ["/", "/foo", "/rdx", "/rd/a/b", "/3/0/0", "/RD"])
def test_an_unknown_path_is_4_04(device, path):
    m = device.request(POST, path, [f"ep={device.endpoint}", "lwm2m=1.1"], b"</3/0>")
    assert device.exchange(m).text == "4.04"


@pytest.mark.parametrize("number", [9, 2049, 65001])
def test_an_unknown_critical_option_is_4_02(daemon, device, number):
    m = device.register_message()
    m.options.append((number, b"x"))
    assert device.exchange(m).text == "4.02"
    assert daemon.client(device.endpoint) is None


def test_an_unknown_critical_option_in_a_non_confirmable_request_is_rejected(daemon, device):
    m = device.register_message(type=NON)
    m.options.append((65001, b"x"))
    device.send(m)
    answer = device.receive(0.3)
    assert answer is None or answer.code >= coap_peer.code("4.00") or answer.type == coap_peer.RST
    assert daemon.client(device.endpoint) is None


@pytest.mark.parametrize("number", [10, 2048, 65000])
def test_an_unknown_elective_option_is_ignored(device, number):
    m = device.register_message()
    m.options.append((number, b"x"))
    assert device.exchange(m).text == "2.01"


def test_uri_host_and_uri_port_are_no_obstacle(device):
    m = device.register_message()
    m.options += [(coap_peer.URI_HOST, b"shoal.example"), (coap_peer.URI_PORT, uint(5683))]
    assert device.exchange(m).text == "2.01"


@pytest.mark.parametrize("number, value", [(coap_peer.PROXY_URI, b"coap://example.com/"), (coap_peer.PROXY_SCHEME, b"coap")])
def test_we_are_no_proxy(device, number, value):
    m = device.register_message()
    m.options.append((number, value))
    assert device.exchange(m).text in ("5.05", "4.02")


def test_no_request_is_sent_to_a_device_before_its_register_was_answered(daemon, device):
    # The observation is issued again after each Register: the 2.01 has to come first.
    device.register()
    observe = daemon.start_http("POST", f"/api/clients/{device.endpoint}/3303/0/5700/observe")
    device.serve_one("2.05", b"1.5", coap_peer.TEXT, [(coap_peer.OBSERVE, b"")])
    assert observe.result().status == 200
    m = device.send(device.register_message())
    first = device.receive()
    assert (first.mid, first.text) == (m.mid, "2.01")
    again = device.next_request()
    assert again.number(coap_peer.OBSERVE) == 0 and again.path == "/3303/0/5700"


def test_more_devices_than_allowed_are_refused_and_the_others_go_on(start):
    daemon = start("--lwm2m-devices-max", "3")
    devices = [Device(daemon.coap_port) for _ in range(5)]
    try:
        for d in devices[:3]:
            d.register()
        # No error: some clients stop for good after an error to Register.
        for d in devices[3:]:
            d.send(d.register_message())
            d.silence(0.2)
        devices[0].register()
        assert devices[1].update().text == "2.04"
        assert len(daemon.get("/api/clients").json) == 3
    finally:
        for d in devices:
            d.close()


def test_a_message_type_confusion_does_not_register(daemon, device):
    for kind in (coap_peer.ACK, coap_peer.RST):
        device.send(device.register_message(type=kind))
    assert device.exchange(Message(CON, 0)).type == coap_peer.RST
    assert daemon.client(device.endpoint) is None
