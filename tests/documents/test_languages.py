"""The language of a text is read from its script, its function words and its letters."""

from __future__ import annotations

import pytest

from ragstone.documents.languages import FUNCTION_WORDS, function_words, language_of_text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is the key to the cellar?", "en"),
        ("Wo liegt der Schlüssel zum Keller?", "de"),
        ("¿Dónde está la llave del sótano?", "es"),
        ("cuanto tarda el envio", "es"),
        ("Où est la clé de la cave ?", "fr"),
        ("Combien coûte l’abonnement ?", "fr"),
        ("Dov'è la chiave della cantina?", "it"),
        ("Onde está a chave do porão?", "pt"),
        ("Waar ligt de sleutel van de kelder?", "nl"),
        ("Gdzie jest klucz do piwnicy?", "pl"),
        ("Var finns nyckeln till källaren?", "sv"),
        ("Kilerin anahtarı nerede?", "tr"),
        ("Где лежит ключ от подвала?", "ru"),
        ("Де лежить ключ від підвалу і комори?", "uk"),
        ("地下室的钥匙在哪里？", "zh"),
        ("地下室の鍵はどこですか？", "ja"),
        ("지하실 열쇠는 어디에 있나요?", "ko"),
        ("أين مفتاح القبو؟", "ar"),
        ("तहखाने की चाबी कहाँ है?", "hi"),
    ],
)
def test_a_question_shows_its_language(text: str, language: str):
    assert language_of_text(text) == language


@pytest.mark.parametrize("text", ["", "4711", "FastAPI", "Passwort", "🚀🚀"])
def test_a_text_without_evidence_has_no_language(text: str):
    assert language_of_text(text) is None


def test_names_in_latin_letters_do_not_count_against_another_script():
    assert language_of_text("如何在 FastAPI 中使用 OAuth2PasswordBearer?") == "zh"


def test_a_letter_of_several_languages_decides_nothing_alone():
    assert language_of_text("Missä sijaitsevat säännöt") is None


def test_only_the_beginning_of_a_long_text_is_read():
    assert language_of_text("wo ist der Keller? " + "where is the cellar? " * 50_000) in {"de", "en"}


def test_function_words_are_those_of_the_language_and_english_ones_where_it_is_unknown():
    assert "where" in function_words(None)
    assert "wo" in function_words("de")
    assert function_words("zh") == frozenset()
    assert all(word == word.casefold() for words in FUNCTION_WORDS.values() for word in words)
