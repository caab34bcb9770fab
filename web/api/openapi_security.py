"""What the OpenAPI description says of signing in: the scheme, and the scope that each operation needs."""

import re
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from werkzeug.routing import Map

from web.auth.access import Open, Rule, rule_of
from web.problems import MEDIA_TYPE

_SCHEME = "bearer"
_SCHEMES = {
    _SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token, made on the page Account, Tokens, or with `POST /api/v1/tokens`; or a JWT of the "
        "configured issuer.",
    }
}
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "scheme, and what is missing", "schema": {"type": "string"}}}


def add_security(document: dict[str, Any], routes: Map) -> None:
    """Add the scheme to a description, and to each operation what it needs and how it is refused."""
    document["components"]["securitySchemes"] = deepcopy(_SCHEMES)
    for rule in routes.iter_rules():
        operations = document["paths"].get(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), {})
        needed = rule_of(rule.endpoint)
        for method in (name.lower() for name in rule.methods or ()):
            if method in operations and needed is not None and needed.requires is not Open.ANYONE:
                _add_to_operation(operations[method], needed)


def _add_to_operation(operation: dict[str, Any], needed: Rule) -> None:
    person = needed.requires is Open.PERSON
    operation["security"] = [{_SCHEME: ["admin" if person else needed.requires.value]}]
    text = (
        "Needs a session or a JWT, or a token with the scope `admin`."
        if person
        else f"Needs the scope `{needed.requires}`."
    )
    operation["description"] = f"{operation.get('description', '').rstrip()}\n\n{text}".strip()
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        response = operation["responses"].setdefault(
            str(status.value), {"description": status.phrase, **deepcopy(_PROBLEM)}
        )
        response.setdefault("headers", {}).update(deepcopy(_CHALLENGE))
