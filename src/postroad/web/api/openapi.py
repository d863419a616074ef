"""The API described: one OpenAPI 3.1 document, made of the tables beside this file and of the JSON Schemas of the reference.

Forms are embedded, so that the document stands by itself. A test holds it against every route and against real answers.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import postroad

Document = dict[str, Any]

_HERE: Final = Path(__file__).parent
_SCHEMAS: Final = Path(postroad.__file__).parent / "reference" / "schemas"
_TYPES: Final = ("string", "integer", "number", "boolean")
_IN_PATH: Final = re.compile(r"\{([a-z]+)\}")
_PROBLEM: Final = "application/problem+json"
#: Status -> when it is answered.
_PROBLEMS: Final = {
    "400": "What was asked cannot be read; `hint` says what can.",
    "401": "This needs a sign-in or a token.",
    "403": "This takes another role.",
    "404": "There is no such thing.",
    "409": "What is meant has changed meanwhile.",
    "413": "The body is too long.",
    "415": "The body must be JSON.",
    "503": "Not available just now.",
}
TITLE: Final = "Postroad"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    tag: str
    role: str
    """``nobody``, ``viewer`` or ``operator``: who may."""
    summary: Mapping[str, str]
    query: tuple[str, ...]
    body: str
    answer: str
    status: int
    media: str

    @property
    def in_path(self) -> tuple[str, ...]:
        """The names that the path holds."""
        return tuple(_IN_PATH.findall(self.path))


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((_HERE / f"openapi_{name}.toml").read_text("utf-8"))


@cache
def operations() -> tuple[Operation, ...]:
    """All of them, in the order in which they are shown."""
    return tuple(_operation(name, one) for name, one in _table("operations").items())


def _operation(name: str, one: Mapping[str, Any]) -> Operation:
    method, _, path = one["at"].partition(" ")
    summary = {"en": one["en"], "ja": one["ja"]}
    query = tuple(one.get("query", "").split())
    body, answer = one.get("body", ""), one.get("answer", "")
    status, media = one.get("status", 200), one.get("media", "application/json")
    return Operation(name, method, path, one["tag"], one["role"], summary, query, body, answer, status, media)


def known_words(path: str) -> Mapping[str, tuple[str, ...]]:
    """Method -> the words that the query of a route may have; others are refused, not ignored."""
    plain = path.replace(":path}", "}")
    return {one.method: one.query for one in operations() if one.path == plain}


def parameter_words(name: str, language: str) -> str:
    """What a word of the query or of a path means."""
    return str(_table("parameters")[name][language])


@cache
def document(language: str = "en") -> Document:
    """The whole description; ``language`` is that of its sentences."""
    paths: dict[str, Document] = {}
    for one in operations():
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one, language)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": postroad.__version__, "license": {"name": "see the package"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in operations())],
        "paths": paths,
        "components": {
            "schemas": _components(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "postroad token add NAME --role ROLE"},
                "session": {"type": "apiKey", "in": "cookie", "name": "postroad_session"},
            },
        },
    }


def as_json(language: str) -> bytes:
    """The description as it is sent."""
    return json.dumps(document(language), ensure_ascii=False, separators=(",", ":")).encode()


def _described(one: Operation, language: str) -> Document:
    found: Document = {
        "operationId": one.id,
        "summary": one.summary[language],
        "tags": [one.tag],
        "x-role": one.role,
        "security": [] if one.role == "nobody" else [{"token": []}, {"session": []}],
        "parameters": [
            *(_parameter(name, "path", language) for name in one.in_path),
            *(_parameter(name, "query", language) for name in one.query),
        ],
        "responses": _responses(one),
    }
    if one.body:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _reference(one.body)}}}
    return found


def _parameter(name: str, place: str, language: str) -> Document:
    known = _table("parameters")[name]
    found: Document = {"name": name, "in": place, "required": place == "path", "description": known[language]}
    return found | {"schema": {"type": "string" if place == "path" and name == "id" else known["type"]}}


def _responses(one: Operation) -> Document:
    fine: Document = {"description": "Done." if one.status == 204 else "The answer."}
    if one.status != 204:
        text = one.media != "application/json"
        fine["content"] = {one.media: {"schema": {"type": "string"} if text else _reference(one.answer)}}
    problem = {_PROBLEM: {"schema": _reference("problem")}}
    left_out = (("401", "403") if one.role == "nobody" else ()) + (() if one.body else ("409", "413", "415"))
    faults = {
        status: {"description": words, "content": problem}
        for status, words in _PROBLEMS.items()
        if status not in left_out
    }
    return {str(one.status): fine} | faults


def _reference(name: str) -> Document:
    """``status`` is one of our tables, ``queue#why`` a part of a schema of the reference, ``bounce`` the whole of one."""
    if name == "any":
        return {}
    file, _, part = name.partition("#")
    return {"$ref": f"#/components/schemas/{file}" + (f"/$defs/{part}" if part else "")}


def _components() -> Document:
    ours = {name: _form(table) for name, table in _table("forms").items()}
    files = {path.stem: _embedded(path.stem, json.loads(path.read_text("utf-8"))) for path in _SCHEMAS.glob("*.json")}
    return dict(sorted((ours | files).items()))


def _form(table: Mapping[str, str]) -> Document:
    return {
        "type": "object",
        "required": [key for key in table if not key.endswith("?")],
        "properties": {key.removesuffix("?"): _value(text) for key, text in table.items()},
    }


def _value(text: str) -> Document:
    if text.endswith("?"):
        inner = _value(text[:-1])
        return {"anyOf": [inner, {"type": "null"}]} if inner else {}
    if text.endswith("[]"):
        return {"type": "array", "items": _value(text[:-2])}
    if text in _TYPES:
        return {"type": text}
    match text:
        case "any":
            return {}
        case "map":
            return {"type": "object"}
        case "time":
            return {"type": "string", "format": "date-time"}
    return _reference(text)


def _embedded(name: str, schema: Any) -> Any:
    """A schema of the reference with its references made those of this document."""
    match schema:
        case dict():
            kept = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
            return {
                key: _pointed(name, value) if key == "$ref" else _embedded(name, value) for key, value in kept.items()
            }
        case list():
            return [_embedded(name, one) for one in schema]
    return schema


def _pointed(name: str, reference: str) -> str:
    if reference.startswith("#"):
        return f"#/components/schemas/{name}{reference[1:]}"
    file, _, part = reference.partition("#")
    return f"#/components/schemas/{Path(file).stem}{part}"


def fields(name: str) -> tuple[tuple[str, str, bool], ...]:
    """Name, kind and whether it must be there, of each field of one of our tables."""
    table = _table("forms").get(name, {})
    return tuple((key.removesuffix("?"), text, not key.endswith("?")) for key, text in table.items())


def example(name: str) -> str:
    """A body with what must be there."""
    usual: dict[str, Any] = {"string": "…", "integer": 1, "number": 1, "boolean": True, "map": {}, "string[]": ["…"]}
    known: dict[str, Any] = {
        "action": "retry", "role": "viewer", "name": "ci", "target": "example.com", "available": False, "rules": []
    }  # fmt: skip
    found = {key: known.get(key, usual.get(text, [])) for key, text, must in fields(name) if must}
    if name == "action_order":
        found |= {"filter": {"destination": "example.net"}, "dry_run": True}
    if name == "rule":
        found = {"to": "*@example.com", "at": "rcpt", "reply": 455, "times": 2}
    return json.dumps(found, ensure_ascii=False)
