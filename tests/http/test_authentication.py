"""Who is admitted, and that nothing happens before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from errno import ENOSPC

import httpx2
import pytest
from fastapi import FastAPI, Request, UploadFile

from ragstone.api import documents
from ragstone.http.authentication import Requirement
from ragstone.http.context import install_server
from ragstone.http.error_handlers import install_error_handlers
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.routing import Admitted, AdmittedScope, admitted_router, requirement_of
from ragstone.principals import Permission
from tests.http.without_accounts import server_without_accounts
from tests.servers import serving

KEY = "k" * 40
OTHER_KEY = "o" * 40
LIMIT = 1 << 16


def small_app(*keys: str) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    install_server(app, server_without_accounts(*keys, max_body_bytes=LIMIT))
    app.add_middleware(RequestMiddleware)
    install_error_handlers(app)
    router = admitted_router(tag="test", needs=Permission.CHAT)
    upload_router = admitted_router(tag="test", needs=Permission.WRITE, max_body_bytes=None)

    @router.get("/who")
    async def who(principal: Admitted, scope: AdmittedScope) -> dict[str, str]:
        return {"name": principal.id, "tenant": scope.tenant, "collection": scope.collection}

    @upload_router.post("/files")
    async def files(files: list[UploadFile]) -> int:
        return len(files)

    @router.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    app.include_router(router)
    app.include_router(upload_router)
    return app


def caller(app: FastAPI, *, base_url: str = "http://127.0.0.1:8000", client: str = "127.0.0.1") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, client=(client, 50000))
    return httpx2.AsyncClient(transport=transport, base_url=base_url)


async def status_of(app: FastAPI, headers: Mapping[str, str] | list[tuple[str, str]], **origin: str) -> int:
    async with caller(app, **origin) as client:
        return (await client.get("/who", headers=headers)).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x-api-key": KEY},
        {"authorization": f"Bearer {OTHER_KEY}"},
    ],
)
async def test_every_configured_key_admits_by_either_header(headers: dict[str, str]):
    assert await status_of(small_app(KEY, OTHER_KEY), headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": ""},
        {"x-api-key": "ÿ\u0080"},
        {"x-api-key": "' OR 1=1 --"},
        {"cookie": f"x-api-key={KEY}"},
    ],
)
async def test_anything_but_a_configured_key_is_refused_without_an_echo(headers: dict[str, str]):
    async with caller(small_app(KEY)) as client:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await client.get("/who", headers=encoded)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["code"] == "unauthenticated"
    assert "kkk" not in response.text
    assert "OR 1" not in response.text


async def test_a_key_in_the_query_does_not_admit():
    async with caller(small_app(KEY)) as client:
        assert (await client.get("/who", params={"api_key": KEY, "x-api-key": KEY})).status_code == 401


async def test_with_a_key_the_caller_may_be_anywhere():
    headers = {"x-api-key": KEY, "x-forwarded-for": "203.0.113.9"}
    app = small_app(KEY)
    assert await status_of(app, headers, client="203.0.113.9", base_url="https://docs.example.org") == 200


@pytest.mark.parametrize("origin", ["https://example.org", "null", "http://127.0.0.1:3000", ""])
async def test_a_secret_key_that_a_page_of_another_site_sends_is_refused(origin: str):
    assert await status_of(small_app(KEY), {"x-api-key": KEY, "origin": origin}) == 401
    own = {"x-api-key": KEY, "origin": "http://127.0.0.1:8000"}
    assert await status_of(small_app(KEY), own) == 200


async def test_a_route_gives_nothing_to_whom_it_does_not_trust_with_it():
    app = small_app(KEY)
    router = admitted_router(tag="test", needs=Permission.OPERATE)

    @router.post("/operate")
    async def operate(request: Request) -> int:
        return len(await request.body())

    app.include_router(router)
    body = Body(b"x", 1)
    assert await post(app, "/operate", body, {"x-api-key": KEY}) == 403
    assert body.sent == 0


class Body:
    """A request body that counts how much of it was asked for."""

    def __init__(self, piece: bytes, pieces: int) -> None:
        self.sent = 0
        self._piece = piece
        self._pieces = pieces

    async def receive(self) -> dict[str, object]:
        self.sent += len(self._piece)
        self._pieces -= 1
        return {"type": "http.request", "body": self._piece, "more_body": self._pieces > 0}


async def post(app: FastAPI, path: str, body: Body, headers: dict[str, str]) -> int:
    statuses: list[int] = []

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            assert isinstance(status, int)
            statuses.append(status)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        "root_path": "",
    }
    await app(scope, body.receive, send)  # type: ignore[arg-type]
    (status,) = statuses
    return status


MULTIPART = {"content-type": f"multipart/form-data; boundary={'-' * 60}"}


@pytest.mark.parametrize("path", ["/files", "/body"])
@pytest.mark.parametrize("announced", [{}, {"content-length": str(1 << 40)}])
async def test_without_a_key_not_a_byte_of_the_body_is_read(path: str, announced: dict[str, str]):
    body = Body(b"-" * 65536, 1000)
    assert await post(small_app(KEY), path, body, {**MULTIPART, **announced}) == 401
    assert body.sent == 0


async def test_an_announced_body_beyond_the_limit_is_refused_unread():
    body = Body(b"-" * 65536, 1000)
    assert await post(small_app(), "/body", body, {"content-length": str(LIMIT + 1)}) == 413
    assert body.sent == 0


@pytest.mark.parametrize("length", ["-1", "1e3", "", "0x10", "٣"])
async def test_a_content_length_that_is_no_number_is_refused(length: str):
    assert await post(small_app(), "/body", Body(b"", 1), {"content-length": length}) == 400


@pytest.mark.parametrize("path", ["/body", "/files"])
@pytest.mark.parametrize("announced", [{}, {"content-length": "5"}])
async def test_a_body_that_is_longer_than_announced_is_cut_off_at_the_limit(path: str, announced: dict[str, str]):
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n'
    body = Body(head.ljust(4096, b"x"), 1000)
    headers = {"content-type": "multipart/form-data; boundary=b", **announced}
    assert await post(small_app(), path, body, headers) == 413
    assert body.sent <= LIMIT + 4096


async def test_a_body_of_exactly_the_limit_is_read():
    assert await post(small_app(), "/body", Body(b"x" * LIMIT, 1), {"content-length": str(LIMIT)}) == 200
    assert await post(small_app(), "/body", Body(b"x" * (LIMIT + 1), 1), {}) == 413


@pytest.mark.parametrize(("headers", "code"), [({}, "unauthenticated"), ({"x-api-key": KEY}, "too_large")])
async def test_a_client_that_sends_far_too_much_still_reads_why(headers: dict[str, str], code: str):
    async def much() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    async with serving(small_app(KEY)) as url, httpx2.AsyncClient() as client:
        response = await client.post(f"{url}/body", content=much(), headers=headers)
    assert response.json()["code"] == code


async def test_a_full_temporary_folder_is_not_blamed_on_the_request():
    class Failing(Body):
        async def receive(self) -> dict[str, object]:
            raise OSError(ENOSPC, "No space left on device")

    assert await post(small_app(), "/files", Failing(b"", 1), MULTIPART) == 500


@pytest.mark.parametrize(
    "name", ["127.0.0.1:8000", "localhost", "localhost:1", "[::1]:8000", "LOCALHOST:8000", "127.0.0.2"]
)
async def test_without_keys_loopback_names_are_answered(name: str):
    assert await status_of(small_app(), {"host": name}) == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "[",
        "x?",
        "0.0.0.0",
        "127.0.0.1@evil",
        "evil@127.0.0.1",
    ],
)
async def test_without_keys_any_other_name_is_refused(name: str):
    assert await status_of(small_app(), {"host": name}) == 403


async def test_without_keys_two_names_are_refused():
    assert await status_of(small_app(), [("host", "127.0.0.1:8000"), ("host", "evil.example")]) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
    ],
)
async def test_without_keys_other_sites_and_proxies_are_refused(headers: dict[str, str]):
    assert await status_of(small_app(), headers) == 403


@pytest.mark.parametrize(
    "headers", [{"origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
async def test_without_keys_the_servers_own_pages_are_answered(headers: dict[str, str]):
    assert await status_of(small_app(), headers) == 200


@pytest.mark.parametrize("address", ["192.168.1.20", "203.0.113.9", "fe80::1", "nonsense"])
async def test_without_keys_other_machines_are_refused(address: str):
    assert await status_of(small_app(), {}, client=address) == 403


async def test_the_scope_is_the_principals_tenant_and_the_collection_asked_for():
    async with caller(small_app()) as client:
        assert (await client.get("/who")).json() == {"name": "local", "tenant": "default", "collection": "default"}
        assert (await client.get("/who", params={"collection": "handbook"})).json()["collection"] == "handbook"


@pytest.mark.parametrize("name", ["", "A", "../x", "a b", "-a", "a" * 65, "ä", "a\n"])
async def test_a_collection_name_that_is_none_is_refused(name: str):
    async with caller(small_app()) as client:
        response = await client.get("/who", params={"collection": name})
    assert response.status_code == 422
    assert "collection" in response.json()["detail"]


async def test_a_route_without_the_door_gets_no_principal():
    app = small_app()

    @app.get("/forgotten")
    async def forgotten(principal: Admitted) -> str:
        return principal.id

    async with caller(app) as client:
        assert (await client.get("/forgotten")).status_code == 500


@pytest.fixture
async def keyed() -> AsyncIterator[httpx2.AsyncClient]:
    async with caller(small_app(KEY)) as client:
        yield client


@pytest.mark.parametrize("path", ["//who", "/who/", "/WHO", "/who;x", "/%77ho", "/who%2f", "/./who"])
async def test_no_spelling_of_a_path_gets_past_the_door(keyed: httpx2.AsyncClient, path: str):
    assert (await keyed.get(path)).status_code in {401, 404}


def test_the_json_limit_is_for_routes_that_take_no_files():
    required = [requirement_of(route) for route in documents.upload_router.routes]
    assert [each.max_body_bytes for each in required if each] == [None]
    assert Requirement().max_body_bytes is not None
