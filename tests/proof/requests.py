"""No request breaks an agent: requests made from its own OpenAPI document, right and wrong, and all are answered.

* Every answer is one that the document knows: what it gives, or a problem with a stable type; never an internal error.
"""

import json
from collections import Counter
from functools import partial
from random import Random

import trio

from qfagent.testing.witness import Broken
from tests.local.frames import running
from tests.proof.inputs import bent
from tests.proof.seeded import broken

REQUESTS = 250
ENDLESS = "/v1/events"
TEXTS = [
    *("peer-b", "agent", "", "a" * 300, "pool-1a2b3c4d", "ä", "../x", "%2e%2e", "\0", "null", "-1"),
    *("3aa06ce6-b00f-4a3c-aa2a-e129acf5951b", "685d6b4b-c7b2-8711-901c-257774930000", "c" * 32, "hub1.mesh:1"),
]
NUMBERS = [0, 1, -1, 64, 65, 1024, 4096, 1 << 26, 1 << 63, 1 << 70, 1.5, 1e308]


def play(seed):
    """Some hundred requests to an agent of one role; how they were answered."""
    try:
        return trio.run(partial(_play, ("client", "hub")[seed % 2], Random(seed)))
    except Exception as error:
        raise broken(error) from error


async def _play(role, chance):
    answers = Counter()
    async with running(role) as agent:
        document = await agent.get("/openapi.json")
        operations = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if path != ENDLESS
        ]
        for _ in range(REQUESTS):
            method, path, operation = chance.choice(operations)
            target, body = _target(path, operation, chance), _body(operation, document, chance)
            answer = await agent.ask(method, target, body)
            answers[f"{role}: {answer.status}"] += 1
            _check(answer, f"{method} {target} {body[:200]!r}")
    return answers


def _check(answer, asked):
    if answer.status == 200:
        return
    problem = json.loads(answer.body)
    known = answer.status in (400, 404, 409, 410, 413, 422, 429, 503) and (problem.get("type") or "ready" in problem)
    if not known or problem.get("type", "").endswith("/internal"):
        raise Broken("unhandled", f"{asked} is answered {answer.status}: {answer.body[:300]!r}")


def _target(path, operation, chance):
    for parameter in operation["parameters"]:
        value = "".join(f"%{byte:02X}" for byte in chance.choice(TEXTS).encode())
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", value or "x")
        elif chance.random() < 0.7:
            path += ("&" if "?" in path else "?") + f"{parameter['name']}={value}"
    return path


def _body(operation, document, chance):
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return chance.choice((b"", b"{}", b"[", chance.randbytes(40)))
    data = json.dumps(_value(content["schema"], document, chance)).encode()
    return data if chance.random() < 0.6 else bent(data, [data], chance)


def _value(schema, document, chance):
    """A value of a schema, or now and then of any other kind."""
    if chance.random() < 0.1:
        return chance.choice((None, True, [], {}, chance.choice(TEXTS), chance.choice(NUMBERS)))
    if "$ref" in schema:
        return _value(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document, chance)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: _value(kind, document, chance) for name, kind in members.items() if chance.random() < 0.9}
        case "string":
            return chance.choice(TEXTS)
        case "boolean":
            return chance.random() < 0.5
        case _:
            return chance.choice(NUMBERS)
