# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The description of the interface against the interface: what it tells of is served."""

import re

import pytest

from coap_peer import Device

VALUES = {"ep": "nobody", "object": "3", "instance": "0", "resource": "1", "resourceInstance": "0", "version": "1.1",
          "id": "0123456789abcdef", "name": "no-policy"}
BODIES = {"application/json": '{"id":0,"resources":[]}', "application/xml": "<LWM2M/>", "text/plain": "x"}


@pytest.fixture(scope="module")
def document(daemon):
    answer = daemon.get("/api/openapi.json")
    assert answer.status == 200
    return answer.json


def operations(document):
    return [(method.upper(), path, operation) for path, item in document["paths"].items()
            for method, operation in item.items()]


def ask(daemon, method, path, operation, values):
    """The request that an operation describes, with its first kind of body."""
    target = re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], path)
    media = next(iter(operation.get("requestBody", {}).get("content", {})), None)
    if any(p["name"] == "timeout" for p in operation["parameters"]):
        target += "?timeout=1"
    if any(p["name"] == "paths" for p in operation["parameters"]):
        target += "&paths=/3/0/1,/1/0"
    return daemon.http(method, target, BODIES.get(media), media)


def test_it_is_openapi_of_this_program(document):
    assert document["openapi"] == "3.1.0" and document["info"]["title"] == "shoal" and document["info"]["version"]
    assert len(operations(document)) > 40


def test_every_path_in_it_is_served(daemon, document):
    """Nobody is registered: what needs a device says so, which only its route does."""
    for method, path, operation in operations(document):
        if path == "/api/event":
            continue  # never ends, see below
        answer = ask(daemon, method, path, operation, VALUES)
        assert answer.status not in (405, 501), (method, path, answer)
        assert answer.body not in (b"Not found", b"Invalid path"), (method, path, answer)
        if "{ep}" in path and not path.startswith("/api/security") and not path.endswith("/owner"):
            assert (answer.status, answer.text) == (400, "No registered client with id 'nobody'"), (method, path)


def test_answers_are_of_the_kinds_that_it_tells(daemon, document):
    """Those that need nobody's help: of the server, and of a device without asking it."""
    with Device(daemon.coap_port) as device:
        device.register()
        values = VALUES | {"ep": device.endpoint}
        asked = 0
        for method, path, operation in operations(document):
            if "{name}" in path or "{id}" in path:
                continue  # of what has to be made first
            if method != "GET" or path == "/api/event" or any(p["name"] == "timeout" for p in operation["parameters"]):
                continue
            answer = ask(daemon, method, path, operation, values)
            told = operation["responses"]["200"]["content"]
            assert answer.status == 200, (path, answer)
            assert answer.headers["Content-Type"].partition(";")[0] in told, (path, answer)
            check(document, told[answer.headers["Content-Type"].partition(";")[0]]["schema"], answer)
            asked += 1
        assert asked > 10
        with daemon.events() as events:
            told = document["paths"]["/api/event"]["get"]["responses"]["200"]["content"]
            assert events.content_type.partition(";")[0] in told


def check(document, schema, answer):
    if answer.headers["Content-Type"].startswith("application/json"):
        check_value(document, schema, answer.json, "")


PYTHON = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}


def check_value(document, schema, value, where):
    """Types, and that objects have all members which are required and none that is not told."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "type" not in schema:
        return
    assert isinstance(value, PYTHON[schema["type"]]), (where, value)
    for n, one in enumerate(value if schema["type"] == "array" else []):
        check_value(document, schema["items"], one, f"{where}[{n}]")
    if "properties" not in schema:
        return
    assert set(schema["required"]) <= set(value) <= set(schema["properties"]), (where, sorted(value))
    for name, one in value.items():
        check_value(document, schema["properties"][name], one, f"{where}.{name}")
