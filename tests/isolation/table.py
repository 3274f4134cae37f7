"""One line a route: who may call it, what it needs, and what its parameters name.

The parameters themselves are read from the application's own description (`slots`), so a parameter that names
something and has no kind here is found, as is a route without a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ragstone.http.routing import ID_PATTERN
from ragstone.principals import Permission
from ragstone.vocabulary import COLLECTION_PATTERN
from tests.isolation.setup import PASSWORD, QUESTION

NAMES_SOMETHING = {ID_PATTERN, COLLECTION_PATTERN}
"""A parameter with one of these patterns names something of somebody."""

APART: Mapping[str, str] = {
    "/librechat": "its users come with tokens of their own: tests/librechat/test_owners.py",
    "/v1/responses": "it answers 404 to everybody",
}
"""Routes that are attacked elsewhere."""

KINDS: Mapping[str, str | None] = {
    "collection": "collection",
    "collections": "collection",
    "conversation_id": "conversation",
    "delivery_id": "delivery",
    "document_id": "document",
    "documents": "document",
    "feedback_id": "feedback",
    "job_id": "job",
    "key": "key",
    "key_id": "key",
    "session_id": "session",
    "tenant": "tenant",
    "tenant_id": "tenant",
    "turn_id": "turn",
    "user_id": "user",
    "widget": "widget",
    "widget_id": "widget",
    # The operator's own: they belong to no tenant, so there is nothing to keep apart.
    "model_id": None,
    "models": None,
    "plan": None,
    "plan_id": None,
}
"""What a parameter of a name refers to, unless a line says otherwise; None: nothing of a tenant."""


@dataclass(frozen=True)
class Line:
    """How to call one route.

    `needs` None: no permission is needed. `body` is JSON whose strings may be `{kind}` of the caller; `form` fields of
    an upload. `shows`: its owner sees the mark in the answer. `moves`: the answer tells of earlier calls, so that two
    of them differ in more than the ids. `by`: the name of the credential that its owner calls it with.
    """

    method: str
    path: str
    needs: Permission | None
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    file: str = "files"
    query: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    shows: bool = False
    moves: bool = False
    by: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def kind(self, name: str) -> str | None:
        """What a parameter refers to. Raises KeyError where neither the line nor `KINDS` says so."""
        return self.kinds[name] if name in self.kinds else KINDS[name]


@dataclass(frozen=True)
class Slot:
    """A place in a request for a name: in the path, the query or, by its path of keys, the body."""

    where: str
    keys: tuple[str, ...]
    many: bool = False

    @property
    def name(self) -> str:
        return self.keys[-1]


def slots(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Slot]:
    """The places of an operation of the OpenAPI description that name something."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" or (parameter["in"] == "query" and _names(parameter["name"], parameter["schema"])):
            yield Slot(parameter["in"], (parameter["name"],))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from _within(content["schema"], schemas, ())


def _within(schema: Mapping[str, Any], schemas: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Slot]:
    for form in _forms(schema, schemas):
        for name, inner in form.get("properties", {}).items():
            keys = (*above, name)
            many = any(each.get("type") == "array" for each in _forms(inner, schemas))
            if _names(name, inner) or any(_names(name, each) for each in _forms(inner, schemas)):
                yield Slot("body", keys, many)
            elif len(keys) < 5:
                yield from _within(inner, schemas, keys)


def _forms(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schema itself and whatever it stands for or may be."""
    if "$ref" in schema:
        return _forms(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    return [schema] + [
        form for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ()) for form in _forms(each, schemas)
    ]


def _names(name: str, schema: Mapping[str, Any]) -> bool:
    patterns = {schema.get("pattern"), schema.get("items", {}).get("pattern")}
    patterns |= {each.get("pattern") for each in schema.get("anyOf", ())}
    patterns |= {each.get("items", {}).get("pattern") for each in schema.get("anyOf", ())}
    return bool(patterns & NAMES_SOMETHING) or name in KINDS or name == "after" or name.endswith(("_id", "_ids"))


P = Permission
TEXT = {"title": "Note", "text": "# Note\n\nThe tide is out."}
DOCUMENT = "/api/documents/{document_id}"
CONVERSATION = "/api/conversations/{conversation_id}"
TURN_FEEDBACK = f"{CONVERSATION}/turns/{{turn_id}}/feedback"
WIDGET = "/api/widgets/{widget_id}"
USER = "/api/accounts/users/{user_id}"
KEY = "/api/accounts/keys/{key_id}"
TENANT = "/api/accounts/tenants/{tenant_id}"
NEW_USER = {"email": "{new email}", "password": PASSWORD, "role": "viewer", "name": "{mark}"}
NEW_PASSWORD = {"current": PASSWORD, "new": f"{PASSWORD} anew"}
NEW = {"plan_id": "new", "model_id": "new"}
MODEL = {"provider": "openai", "model": "new"}
VISIT = {"conversation_id": "visit", "turn_id": "turn of the visit"}
VISIT_FEEDBACK = {"conversation_id": "{visit}", "turn_id": "{turn of the visit}", "rating": 1, "comment": "{mark}"}

CHAT = {"model": "ragstone", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 100}

TABLE: tuple[Line, ...] = (
    # Public.
    Line("GET", "/health", None),
    Line("GET", "/rage/health", None),
    Line("GET", "/ready", None),
    Line("GET", "/openapi.json", None),
    Line("GET", "/sources/{token}", None, kinds={"token": None}, values={"token": "{source link}"}, shows=True),
    Line("GET", "/metrics", P.OPERATE, moves=True),
    Line("GET", "/api/operate/circuits", P.OPERATE, moves=True),
    # What there is.
    Line("GET", "/api/documents", P.READ, kinds={"after": "document"}, shows=True),
    Line("GET", DOCUMENT, P.READ, shows=True),
    Line("GET", f"{DOCUMENT}/text", P.READ, shows=True),
    Line("GET", "/api/stats", P.READ),
    Line("GET", "/api/jobs", P.READ, moves=True),
    Line("GET", "/api/jobs/{job_id}", P.READ, shows=True),
    Line("GET", "/api/jobs/{job_id}/events", P.READ, shows=True),
    Line("GET", "/api/conversations", P.READ, shows=True, moves=True),
    Line("GET", CONVERSATION, P.READ, shows=True),
    # Questions.
    Line("POST", "/api/search", P.CHAT, body={"query": QUESTION}, shows=True),
    Line("POST", "/api/chat", P.CHAT, body={"question": QUESTION}, shows=True),
    Line("POST", TURN_FEEDBACK, P.CHAT, body={"rating": 1, "comment": "{mark}"}, shows=True),
    Line("GET", "/api/feedback", P.CONVERSATIONS, kinds={"after": "feedback"}, shows=True, moves=True),
    # The same through the interceptor.
    Line("POST", "/v1/chat/completions", P.CHAT, body=CHAT, shows=True),
    Line("POST", "/v1/messages", P.CHAT, body=CHAT, shows=True),
    Line("POST", "/v1/messages/count_tokens", P.CHAT, body=CHAT),
    Line("POST", "/v1/embeddings", P.CHAT, body={"model": "hashing", "input": QUESTION}),
    Line("GET", "/v1/models", P.CHAT),
    Line("GET", "/v1/models/{model}", P.CHAT, kinds={"model": None}, values={"model": "ragstone"}),
    # The widget: its editor, its visitors, its backend.
    Line("GET", "/api/widgets", P.MANAGE, kinds={"after": "widget"}, shows=True, moves=True),
    Line("POST", "/api/widgets", P.MANAGE, body={"name": "{mark}"}, shows=True),
    Line("GET", WIDGET, P.MANAGE, shows=True),
    Line("PUT", WIDGET, P.MANAGE, body={"name": "{mark}", "settings": {"greeting": "{mark}"}}, shows=True),
    Line("GET", "/api/widget/config", P.WIDGET, query={"widget": "{widget}"}, shows=True),
    Line("POST", "/api/widget/chat", P.WIDGET, body={"question": QUESTION}, kinds=VISIT, shows=True),
    Line("POST", "/api/widget/chat/stream", P.WIDGET, body={"question": QUESTION}, kinds=VISIT, shows=True),
    Line("POST", "/api/widget/feedback", P.WIDGET, body=VISIT_FEEDBACK, kinds=VISIT),
    Line("POST", "/api/widget/process-document", P.WRITE, form={"metadata": ""}, file="file"),
    Line("GET", "/api/widget/documents/{document_id}/status", P.READ),
    Line("GET", "/api/callbacks", P.MANAGE, shows=True),
    Line("GET", "/api/callbacks/signing-key", P.MANAGE),
    # The interceptor: where chats go, and what they are answered from.
    Line("GET", "/api/interceptor", P.MANAGE, moves=True),
    Line("PUT", "/api/interceptor", P.MANAGE, body={"settings": {"models": {"house": "{mark}"}}}, shows=True),
    Line("DELETE", "/api/interceptor", P.MANAGE),
    # Who one is, and the people and keys beside one.
    Line("GET", "/api/accounts/me", P.READ, by="session of owner", shows=True),
    Line("GET", "/api/accounts/sessions", P.READ, moves=True),
    Line("GET", "/api/accounts/users", P.MANAGE, kinds={"after": "email"}, shows=True),
    Line("POST", "/api/accounts/users", P.MANAGE, body=NEW_USER, shows=True),
    Line("GET", USER, P.MANAGE, shows=True),
    Line("GET", "/api/accounts/keys", P.MANAGE, kinds={"after": "key"}, shows=True, moves=True),
    Line("POST", "/api/accounts/keys", P.MANAGE, body={"name": "{mark}"}, shows=True),
    Line("GET", KEY, P.MANAGE, shows=True),
    Line("PATCH", KEY, P.MANAGE, body={"name": "{mark}"}, shows=True),
    Line("GET", "/api/accounts/audit", P.MANAGE, shows=True, moves=True),
    Line("GET", "/api/accounts/audit/verify", P.MANAGE, moves=True),
    Line("GET", "/api/usage", P.MANAGE, shows=True, moves=True),
    Line("GET", "/api/usage/export", P.MANAGE, shows=True, moves=True),
    # What the operator runs.
    Line("GET", "/api/accounts/tenants", P.OPERATE, kinds={"after": "tenant"}, shows=True),
    Line("POST", "/api/accounts/tenants", P.OPERATE, body={"id": "newcomer"}, kinds={"id": None}),
    Line("GET", TENANT, P.OPERATE, shows=True),
    Line("PATCH", TENANT, P.OPERATE, body={"retention_days": 90}, shows=True),
    Line("GET", "/api/accounts/plans", P.MANAGE),
    Line("GET", "/api/accounts/models", P.MANAGE),
    Line("PUT", "/api/accounts/models/{model_id}", P.OPERATE, body=MODEL, values=NEW),
    Line("PUT", "/api/accounts/plans/{plan_id}", P.OPERATE, body={"name": "New"}, values=NEW),
    Line("DELETE", "/api/accounts/plans/{plan_id}", P.OPERATE, values=NEW),
    Line("DELETE", "/api/accounts/models/{model_id}", P.OPERATE, values=NEW),
    # Bringing in and taking out.
    Line("POST", "/api/documents", P.WRITE, form={"metadata": "{}"}),
    Line("POST", "/api/ingest", P.WRITE, body=TEXT),
    Line("DELETE", WIDGET, P.MANAGE),
    Line("DELETE", CONVERSATION, P.READ),
    Line("DELETE", DOCUMENT, P.WRITE),
    Line("DELETE", "/api/accounts/sessions/{session_id}", P.READ),
    Line("POST", "/api/accounts/login", None, body={"email": "{email}", "password": PASSWORD}, shows=True),
    Line("POST", "/api/accounts/me/password", P.READ, body=NEW_PASSWORD, by="session of user"),
    Line("POST", "/api/accounts/logout", P.READ, by="session of viewer"),
    Line("PATCH", USER, P.MANAGE, body={"name": "{mark}"}, shows=True),
    Line("DELETE", USER, P.MANAGE),
    Line("POST", f"{KEY}/rotate", P.MANAGE, body={"overlap_s": 60}, shows=True),
    Line("DELETE", KEY, P.MANAGE),
    Line("DELETE", TENANT, P.OPERATE),
)
"""Every route, in an order in which its owner can call them all: what removes comes last."""
