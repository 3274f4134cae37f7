"""What an answer shows: the block that holds it as it was written, the closest sections, or that there is nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.vocabulary import Outcome, Scope
from tests.platforms import OpenedPlatform, default_platform

FILES = {
    "code.md": "# Wildcards\n\nThe glob `**/*.md` matches every Markdown file below the folder.\n\n"
    "The decorator passes `*args` and `**kwargs` to the function `__init__`.\n\n"
    "The area is 3 * 4 * 5 = 60 square metres.\n\nPrivate keys lie in `~/.ssh/id_rsa` of the user's home.\n",
    "rule.md": "# Rule\n\nIf the pressure > 16 bar or the level < 3 m then stop the pump.\n",
    "rates.md": "# Rates\n\nFuel of the ships in May:\n\n| Ship | Litres | Port |\n| --- | --- | --- |\n"
    "| Ada | 700 | Kiel |\n| Bo | 900 | Lund |\n| Cy | 400 | Riga |\n",
    "limits.csv": "Firm,Limit\n" + "".join(f"Firm {number},{7 * number}\n" for number in range(1000, 1400)),
    "pump.json": '{"name":"Seal S-9","specs":{"power":{"value":4,"unit":"kW"},"weight":"41 kg"},"warranty_years":3}',
    "reset.md": "# Reset\n\nTo reset the drill, do this:\n\n1. Hold the red key for nine seconds.\n2. Run:\n\n"
    "   ```sh\n   drill --reset *.cfg\n   ```\n\n3. Let go of the key.\n",
    "th.md": "# คู่มือ\n\nเปลี่ยนซีลปั๊มทุกสี่ร้อยชั่วโมง\n",
}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[OpenedPlatform]:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    async with default_platform(tmp_path / "data") as opened:
        await opened.ingest(folder)
        yield opened


SHOWN = {
    "Which glob matches every Markdown file?": "The glob `**/*.md` matches every Markdown file",
    "Where do private keys lie?": "`~/.ssh/id_rsa`",
    "What is the area?": "3 * 4 * 5 = 60",
    "When should the pump be stopped?": "If the pressure > 16 bar or the level < 3 m then stop the pump",
    "How many litres did the ship Bo use?": "| Ship | Litres | Port |\n| --- | --- | --- |\n| Bo | 900 | Lund [1] |",
    "What is the limit of Firm 1234?": "| Firm 1234 | 8638 [",
    "What is the weight of the seal S-9?": "Seal S-9 › specs — weight: 41 kg [",
    "How do I reset the drill?": "2. Run: [1]\n   ```sh\n   drill --reset *.cfg\n   ```\n3. Let go of the key [1].",
}


async def test_an_answer_is_shown_as_it_was_written_and_every_sentence_is_verified(platform: OpenedPlatform):
    missing = {}
    for question, shown in SHOWN.items():
        answer = await platform.ask(question)
        if shown not in answer.text:
            missing[question] = answer.text
        assert answer.uncited_sentences == 0
        assert all(citation.verified for citation in answer.citations)
    assert not missing


async def test_a_question_of_nothing_but_emojis_finds_nothing(platform: OpenedPlatform):
    answer = await platform.ask("🚀🚀 🛸")
    assert (answer.outcome, answer.citations, answer.closest) == (Outcome.NOTHING, (), ())


async def test_what_is_stated_nowhere_is_shown_as_the_closest_sections(platform: OpenedPlatform):
    answer = await platform.ask("Who painted the pump of the ship Bo?")
    assert answer.outcome is Outcome.CLOSEST
    assert 1 <= len(answer.closest) <= 4
    for section in answer.closest:
        text = await platform.storage.library.text(Scope(), section.document_id, version=section.version)
        assert text[section.start : section.end] == section.text
        assert section.start <= section.highlight_start < section.highlight_end <= section.end
