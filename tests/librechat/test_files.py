"""Files come, are replaced, are read and go, in the shapes that LibreChat reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from ragstone import worker
from ragstone.app import create_app
from ragstone.billing.plans import Plan
from ragstone.errors import InvalidInput
from ragstone.identity.tenants import TenantChange
from ragstone.index.base import Index
from ragstone.librechat.content import paged
from ragstone.librechat.upload import display_name
from ragstone.vocabulary import DocumentState, PageSpan, Scope
from tests.api.conftest import calling, running
from tests.api.people import Installation
from tests.documents.builders import pdf
from tests.librechat.setup import ALICE, BOB, LIBRECHAT, SECRET, Calls, calls_of, connected, minted
from tests.platforms import OpenedPlatform, small_platform
from tests.servers import serving
from tests.waiting import until

SCOPE = Scope("default", "librechat")
MIB = 1 << 20


async def test_a_file_is_found_as_soon_as_its_upload_is_answered(alice: Calls):
    response = await alice.embed("f-1", "# Water\n\nWater boils at 100 degrees.", name="notes.md")
    assert response.status_code == 200
    assert response.json() == {
        "status": True,
        "message": "File processed successfully.",
        "file_id": "f-1",
        "filename": "notes.md",
        "known_type": True,
    }
    assert "100 degrees" in (await alice.query("f-1", "When does water boil?")).text


async def test_embed_upload_answers_alike(alice: Calls):
    files = {"uploaded_file": ("notes.md", b"Water boils at 100 degrees.")}
    response = await alice.client.post("/librechat/embed-upload", data={"file_id": "f-1"}, files=files)
    assert response.json()["status"] is True
    assert "100 degrees" in (await alice.query("f-1", "When does water boil?")).text


async def test_the_same_id_again_replaces_the_file(alice: Calls):
    await alice.embed("f-1", "The old text.")
    for _ in range(2):  # the same bytes again change nothing
        assert (await alice.embed("f-1", "The new text.")).json()["status"] is True
    chunks = (await alice.get("/documents", ids=["f-1"])).json()
    assert [chunk["page_content"] for chunk in chunks] == ["The new text."]


@pytest.mark.parametrize(
    ("content", "known_type", "says"),
    [
        (b"\x7fELF\x02\x01", False, "program"),
        (b"\x89PNG\r\n", False, "OCR"),
        (b"", True, "empty"),
        (pdf(["secret"], encrypted=True), True, "password"),
        (b"x" * 200_001, True, "larger than 200,000 bytes"),
    ],
)
async def test_what_cannot_be_read_says_why_and_leaves_nothing(
    made: Installation, alice: Calls, content: bytes, known_type: bool, says: str
):
    response = await alice.embed("f-1", content, name="file.pdf")
    assert response.status_code == 200
    told = response.json()
    assert (told["status"], told["known_type"]) == (False, known_type)
    assert says in told["message"]
    assert await made.platform.storage.library.documents(SCOPE) == []


async def test_a_file_stays_when_its_replacement_cannot_be_read(alice: Calls):
    await alice.embed("f-1", "The old text.")
    assert (await alice.embed("f-1", b"\x7fELF\x02")).json()["status"] is False
    assert "The old text." in (await alice.get("/documents/f-1/context")).text


async def test_the_plans_limits_hold(made: Installation):
    await made.platform.billing.plans.save("test", Plan(id="tiny", name="Tiny", max_documents=1))
    await made.platform.identity.tenants.change("test", "default", TenantChange(plan="tiny"))
    async with calls_of(made) as alice:
        assert (await alice.embed("f-1", "One.")).json()["status"] is True
        refused = (await alice.embed("f-2", "Two.")).json()
        assert (refused["status"], refused["known_type"]) == (False, None)
        assert "plan" in refused["message"]


@pytest.mark.parametrize("file_id", ["", "a" * 129, "a\nb", "a\x00b"])
async def test_a_file_id_is_a_short_line(alice: Calls, file_id: str):
    assert (await alice.embed(file_id, "Something.")).status_code == 422
    assert (await alice.query(file_id, "something")).status_code == 422
    assert (await alice.delete(file_id)).status_code == 422


@pytest.mark.parametrize("file_id", ["a" * 128, "../../etc/passwd", "%", "_", "*", "a b", "ä/ö", "f-1', '"])
async def test_a_file_id_is_a_name_and_nothing_more(alice: Calls, file_id: str):
    await alice.embed("bystander", "The quokka smiles.")
    assert (await alice.embed(file_id, "Water boils at 100 degrees.")).json()["status"] is True
    found = (await alice.query(file_id, "When does water boil?")).json()
    assert [pair[0]["metadata"]["file_id"] for pair in found] == [file_id]
    assert (await alice.delete(file_id)).status_code == 200
    assert (await alice.get("/ids")).json() == ["bystander"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("/app/uploads/temp/report.pdf", "report.pdf"),
        ("C:\\temp\\report.pdf", "report.pdf"),
        ("report_0123456789abcdef0123456789abcdef.pdf", "report.pdf"),
        ("README_0123456789abcdef0123456789abcdef", "README"),
        ("_0123456789abcdef0123456789abcdef.pdf", "_0123456789abcdef0123456789abcdef.pdf"),
        ("report_0123456789ABCDEF0123456789ABCDEF.pdf", "report_0123456789ABCDEF0123456789ABCDEF.pdf"),
        ("Résumé (1).docx", "Résumé (1).docx"),
    ],
)
def test_a_file_is_shown_by_the_name_its_owner_knows(sent: str, shown: str):
    assert display_name(sent) == shown


def test_a_file_without_a_name_is_refused():
    with pytest.raises(InvalidInput):
        display_name("///")


async def test_the_kind_of_a_file_follows_its_name_though_its_id_has_none(alice: Calls):
    await alice.embed("f-1", "a,b\n1,2\n", name="numbers.csv")
    assert "| a | b |" in (await alice.get("/documents/f-1/context")).text.replace("\\n", "\n")


async def test_the_context_is_one_text_with_its_pages(alice: Calls):
    await alice.embed("f-1", pdf(["On the first page."], ["On the second."]), name="two_pages.pdf")
    response = await alice.get("/documents/f-1/context")
    assert response.headers["content-type"] == "application/json"
    lines = response.json().splitlines()
    assert lines[0] == "two_pages.pdf"
    assert lines.index("# PAGE 1") < lines.index("On the first page.") < lines.index("# PAGE 2")
    assert lines.index("# PAGE 2") < lines.index("On the second.")


def test_what_lies_outside_pages_stays_in_its_place():
    pages = [PageSpan(1, 4, 7), PageSpan(3, 9, 12)]
    assert paged("pre\none\n\nthree", pages) == "pre\n# PAGE 1\none\n# PAGE 3\nthree"
    assert paged("all", []) == "all"


async def test_unknown_files_are_said_to_be_in_rag_apis_words(alice: Calls):
    context = await alice.get("/documents/f-1/context")
    assert (context.status_code, context.json()) == (404, {"detail": "The specified file_id was not found"})
    for response in (await alice.get("/documents", ids=["f-1"]), await alice.delete("f-1")):
        assert (response.status_code, response.json()) == (404, {"detail": "One or more IDs not found"})


async def test_several_files_are_deleted_and_their_points_with_them(made: Installation, alice: Calls):
    for file_id in ("f-1", "f-2"):
        await alice.embed(file_id, f"The text of {file_id}.")
    assert (await alice.delete("f-1", "f-2")).json() == {"message": "Documents for 2 files deleted successfully"}
    assert await made.platform.engines.index.count(SCOPE) == 0
    assert await made.platform.storage.library.documents(SCOPE) == []


async def test_text_is_extracted_and_not_kept(made: Installation, alice: Calls):
    files = {"file": ("two_pages.pdf", pdf(["On the first page."]), "application/pdf")}
    response = await alice.client.post("/librechat/text", data={"file_id": "f-1", "entity_id": "x"}, files=files)
    assert response.status_code == 200
    told = response.json()
    assert "On the first page." in told.pop("text")
    assert told == {"file_id": "f-1", "filename": "two_pages.pdf", "known_type": True}
    assert await made.platform.storage.library.documents(SCOPE) == []


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01", b"", b"%PDF-1.7 broken"])
async def test_what_text_cannot_be_got_from_sends_librechat_to_its_own_parser(alice: Calls, content: bytes):
    response = await alice.client.post("/librechat/text", data={"file_id": "f-1"}, files={"file": ("a.pdf", content)})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("Error during text extraction: ")


async def test_a_local_file_is_read_from_the_users_folder_only(tmp_path: Path):
    root = tmp_path / "uploads"
    (root / ALICE).mkdir(parents=True)
    (root / ALICE / "mine.md").write_text("Water boils at 100 degrees.")
    (root / BOB).mkdir()
    (root / BOB / "his.md").write_text("The quokka smiles.")
    (root / "loose.md").write_text("No owner.")
    (tmp_path / "outside.md").write_text("Outside.")
    (tmp_path / ALICE).mkdir()
    (tmp_path / ALICE / "outside.md").write_text("Outside too.")
    (root / ALICE / "link.md").symlink_to(tmp_path / "outside.md")
    (root / ALICE / "his").symlink_to(root / BOB)
    (root / ALICE / "circle").symlink_to(root / ALICE / "circle")
    paths = ["../outside.md", f"{ALICE}/link.md", f"{ALICE}/his/his.md", f"{BOB}/his.md", "loose.md", ALICE, "none.md"]
    paths += [f"{ALICE}/../{BOB}/his.md", f"{ALICE}/circle", f"../{ALICE}/outside.md", f"{ALICE}/" + "a" * 300]
    paths += [str(tmp_path / "outside.md")]
    async with connected(tmp_path / "data", librechat={**LIBRECHAT, "upload_root": root}) as made:
        async with calls_of(made) as alice:
            for path in paths:
                response = await local(alice, path)
                assert response.status_code == 404, path
                assert response.json() == {"detail": "The specified file was not found."}
            taken = await local(alice, f"{ALICE}/mine.md")
            assert taken.json()["status"] is True
            assert "100 degrees" in (await alice.query("f-1", "When does water boil?")).text
        async with calls_of(made, base="/librechat/tenants/default") as elsewhere:
            assert (await local(elsewhere, f"{ALICE}/mine.md")).status_code == 404


async def test_text_of_a_file_that_is_too_large_is_refused(alice: Calls):
    files = {"file": ("a.md", b"x" * 200_001)}
    response = await alice.client.post("/librechat/text", data={"file_id": "f-1"}, files=files)
    assert response.status_code == 413
    assert "200,000 bytes" in response.json()["detail"]


async def local(calls: Calls, path: str) -> httpx2.Response:
    body = {"filepath": path, "filename": "mine.md", "file_content_type": "text/markdown", "file_id": "f-1"}
    return await calls.client.post(f"{calls.base}/local/embed", json=body)


async def test_without_an_upload_root_no_local_file_is_read(alice: Calls):
    assert (await local(alice, "/etc/hostname")).status_code == 404


class DownIndex:
    """An index that has gone."""

    def __init__(self, inner: Index) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def count(self, _scope: Scope) -> int:
        raise ConnectionResetError


async def test_health_is_up_only_where_files_can_be_found(made: Installation):
    async with made.calling() as anybody:
        response = await anybody.get("/librechat/health")
        assert (response.status_code, response.json()) == (200, {"status": "UP"})
    services = made.platform.services
    down = DownIndex(services.engines.index)
    broken = replace(services, engines=replace(services.engines, index=down))  # type: ignore[arg-type]
    async with running(broken) as app, calling(app) as anybody:
        response = await anybody.get("/librechat//health")
        assert (response.status_code, response.json()) == (503, {"status": "DOWN"})


@asynccontextmanager
async def working_elsewhere(folder: Path) -> AsyncIterator[None]:
    """A worker of its own, as `ragstone worker` is."""
    async with small_platform(folder, librechat=LIBRECHAT) as platform:
        stop = asyncio.Event()
        running_worker = asyncio.create_task(worker.run(platform.services, stop))
        try:
            yield
        finally:
            stop.set()
            await running_worker


@asynccontextmanager
async def idle_server(folder: Path) -> AsyncIterator[tuple[OpenedPlatform, str]]:
    """A server on a socket that leaves all work to others."""
    async with small_platform(folder, librechat=LIBRECHAT) as platform:
        app = create_app(platform.services, works=False)
        async with app.router.lifespan_context(app), serving(app) as url:
            yield platform, url


async def test_an_upload_waits_for_a_worker_elsewhere(tmp_path: Path):
    async with idle_server(tmp_path / "data") as (_, url), working_elsewhere(tmp_path / "data"):
        headers = {"authorization": f"Bearer {minted(secret=SECRET)}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            assert (await Calls(client).embed("f-1", "Water boils.")).json()["status"] is True


async def test_who_leaves_an_upload_leaves_its_job_running(tmp_path: Path):
    async with idle_server(tmp_path / "data") as (platform, url):
        headers = {"authorization": f"Bearer {minted(secret=SECRET)}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            sending = asyncio.create_task(Calls(client).embed("f-1", "Water boils."))
            while not (jobs := await platform.corpus.ingestion.jobs(SCOPE)):  # noqa: ASYNC110 — a fact in SQL
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: b'status="499"' in platform.operations.metrics.render())
        await platform.corpus.ingestion.work(until_job=(SCOPE, jobs[0].id))
        (document,) = await platform.storage.library.documents(SCOPE)
        assert document.state is DocumentState.READY
