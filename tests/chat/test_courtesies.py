"""Thanks, greetings and agreement are no questions; a question that begins with one is."""

from __future__ import annotations

import pytest

from ragstone.chat.courtesies import MAX_CHARS, courtesy
from ragstone.generation.notices import notice
from ragstone.vocabulary import Turn


@pytest.mark.parametrize(
    ("message", "kind", "language"),
    [
        ("thanks", "thanks", "en"),
        ("Thank you very much!", "thanks", "en"),
        ("ok, got it 👍", "thanks", "en"),
        ("Hello", "greeting", "en"),
        ("Good morning!", "greeting", "en"),
        ("Danke schön!", "thanks", "de"),
        ("Alles klar, vielen Dank für die Hilfe.", "thanks", "de"),
        ("Guten Tag", "greeting", "de"),
        ("¡Muchas gracias!", "thanks", "es"),
        ("Buenos días", "greeting", "es"),
        ("Merci beaucoup", "thanks", "fr"),
        ("D’accord", "thanks", "fr"),
        ("Bonjour !", "greeting", "fr"),
        ("谢谢", "thanks", "zh"),
        ("好的，谢谢！", "thanks", "zh"),
        ("你好", "greeting", "zh"),
        ("grazie mille", "thanks", "it"),
        ("спасибо большое", "thanks", "ru"),
    ],
)
def test_a_courtesy_is_seen_with_its_language(message: str, kind: str, language: str):
    found = courtesy(message)
    assert found is not None
    assert (found.kind, found.language) == (kind, language)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "👍",
        "thanks, and the price?",
        "ok so what about the chain",
        "Hello world example",
        "Is it good?",
        "good?",
        "the help",
        "Thank you for 2 nights",
        "danke und der Preis",
        "gracias a la ventana",
        "谢谢函的格式",
        "thanks " * 40_000,
    ],
)
def test_what_asks_or_states_anything_else_is_none(message: str):
    assert courtesy(message) is None


def test_a_word_of_several_languages_takes_that_of_the_last_question():
    german = courtesy("ok", [Turn("Wann öffnet das Freibad?", "Um 8 Uhr.")])
    english = courtesy("ok", [Turn("When does it open?", "At 8.")])
    assert german is not None
    assert english is not None
    assert (german.language, english.language) == ("de", "en")


def test_a_reply_exists_for_each_kind():
    for message in ("thanks", "hello"):
        found = courtesy(message)
        assert found is not None
        assert notice(found.kind, found.language)


def test_a_long_message_is_none():
    assert courtesy("ok " * MAX_CHARS) is None
