"""The API's description (OpenAPI 3.1) from the operations' own types, so that it cannot say anything else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from deploy.binding import Operation, Parameter, by_address, schema_types
from deploy.problems import PROBLEM_TYPE, ProblemDocument
from deploy.sessions import COOKIE

_REF = "#/components/schemas/{name}"
_TAGS = {
    "session": "Console login",
    "gtfs-rt": "GTFS-Realtime",
    "validations": "Ticketing",
    "inspections": "Ticketing",
    "products": "Ticketing",
    "tickets": "Ticketing",
    "ticketing": "Ticketing",
    "shifts": "Ticketing",
    "refunds-owed": "Ticketing",
    "accounts": "Ticketing",
    "bank-accounts": "Ticketing",
    "flagged-taps": "Ticketing",
    "penalties": "Ticketing",
    "purchases": "Ticketing",
    "receipts": "Ticketing",
    "riders": "Ticketing",
    "settlements": "Ticketing",
    "wallet": "Ticketing",
    "cards": "Cards",
    "card-keys": "Cards",
    "issuer-keys": "Keys and lists",
    ".well-known": "Keys and lists",
    "status-lists": "Keys and lists",
    "deny-list": "Keys and lists",
    "operators": "Devices",
    "validators": "Devices",
    "tariff": "Ticketing",
    "instance": "Operations",
    "livez": "Operations",
    "readyz": "Operations",
    "metrics": "Operations",
    "openapi.json": "Operations",
}


_DESCRIPTION = (
    "Times are Unix seconds in UTC, distances metres, money an integer of minor units beside its currency; "
    "words mean what GTFS says. Errors are problem documents (RFC 9457): 400 where a request cannot be "
    "read (no JSON, no UTF-8, a NUL, no body, a value given twice), 422 where it was read and a field is "
    "wrong, which it names. Public data needs no login; "
    "everything else needs a bearer token of a role that allows it, or the console's cookie."
)
_SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Made by `takt token --role ROLE`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Set by POST /api/v1/session.",
    },
}


def describe(operations: Sequence[Operation], version: str) -> bytes:
    """The document as JSON."""
    types = [kind for operation in operations for kind in schema_types(operation)]
    distinct = list({repr(kind): kind for kind in (*types, ProblemDocument)}.values())
    schemas, components = msgspec.json.schema_components(distinct, ref_template=_REF)
    by_type = {repr(kind): schema for kind, schema in zip(distinct, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for operation, *forms in by_address(operations):
        described = _operation(operation, by_type)
        for form in forms:
            described["responses"][str(form.status)]["content"] |= _content(form, by_type)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Takt",
            "version": version,
            "summary": "Fleet dispatch and e-ticketing for public transport.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(operation.path) for operation in operations)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }
    return msgspec.json.encode(document)


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    key = parts[2] if parts[:2] == ["api", "v1"] and len(parts) > 2 else (parts[0] if parts else "")
    return _TAGS.get(key, "Dispatch")


def _operation(operation: Operation, by_type: dict[str, Any]) -> dict[str, Any]:
    text = inspect.getdoc(operation.handler) or ""
    summary, _, rest = text.partition("\n")
    words = re.findall(r"[A-Za-z0-9]+", operation.path.replace("/api/v1/", "/"))
    described: dict[str, Any] = {
        "operationId": "_".join([operation.method.lower(), *words]),
        "summary": summary,
        "tags": [_tag(operation.path)],
        "security": [] if operation.public else [{"token": []}, {"session": []}],
        "responses": _responses(operation, by_type),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if not operation.public:
        described["x-permission"] = operation.permission
    parameters = [_parameter(p, by_type) for p in operation.parameters]
    if "idempotency_key" in operation.injected:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same request gives the same answer and does nothing twice.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": by_type[repr(operation.body)]}},
        }
    return described


def _parameter(parameter: Parameter, by_type: dict[str, Any]) -> dict[str, Any]:
    schema = dict(by_type[repr(parameter.type)])
    if parameter.place == "path" and schema.get("type") == "string":
        schema.setdefault("minLength", 1)
        schema.setdefault("maxLength", 256)
    if not parameter.required and parameter.default is not None:
        schema["default"] = parameter.default
    return {"name": parameter.name, "in": parameter.place, "required": parameter.required, "schema": schema}


def _responses(operation: Operation, by_type: dict[str, Any]) -> dict[str, Any]:
    reply = operation.reply
    status = 204 if reply.kind == "none" else operation.status
    success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if reply.kind != "none":
        success["content"] = _content(operation, by_type)
    problem = by_type[repr(ProblemDocument)]
    responses: dict[str, Any] = {str(status): success}
    for code in _problem_statuses(operation):
        responses[str(code)] = {
            "description": HTTPStatus(code).phrase,
            "content": {PROBLEM_TYPE: {"schema": problem}},
        }
    for family, text in (("4XX", "The request was refused."), ("5XX", "The server could not do it.")):
        responses[family] = {"description": text, "content": {PROBLEM_TYPE: {"schema": problem}}}
    if reply.kind == "stream" and reply.schema is not None:
        responses["503"] = {
            "description": "Not ready",
            "content": {"application/json": {"schema": by_type[repr(reply.schema)]}},
        }
    return responses


def _content(operation: Operation, by_type: dict[str, Any]) -> dict[str, Any]:
    reply = operation.reply
    schema = by_type[repr(reply.schema)] if reply.schema is not None else _bare_schema(reply.content_type)
    return {reply.content_type: {"schema": schema}}


def _bare_schema(content_type: str) -> dict[str, Any]:
    if content_type.startswith(("text/", "application/json")):
        return {"type": "string"} if content_type.startswith("text/") else {}
    return {"type": "string", "contentMediaType": content_type}


def _problem_statuses(operation: Operation) -> list[int]:
    statuses = []
    if operation.parameters or operation.body is not None:
        statuses += [400, 422]
    if not operation.public:
        statuses += [401, 403]
    if any(p.place == "path" for p in operation.parameters):
        statuses.append(404)
    if operation.body is not None:
        statuses += [413, 415]
    return sorted(statuses)
