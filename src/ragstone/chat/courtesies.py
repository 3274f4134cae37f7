"""Courtesies: messages that thank, greet or agree, and ask nothing. No document answers them.

A message is a courtesy if every word of it belongs to the courtesies of one language. "Thanks" and "ok, got it" are;
"thanks, and the price?" is a question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ragstone.documents.languages import language_of_text
from ragstone.vocabulary import Turn

CourtesyKind = Literal["thanks", "greeting"]

MAX_CHARS = 80
"""A longer message is no courtesy, in characters."""
MAX_WORDS = 8

# For each language: words that thank or agree / words that greet / words that stand beside them.
_WORDS = {
    "en": """thanks thank thx ty cheers ok okay k kk alright understood perfect great cool nice awesome gotcha noted bye
        goodbye / hi hello hey hiya greetings morning afternoon evening / you u very much so a lot many for your the
        help that's that is all was this good fine got it there again oh ah really helpful useful and no problem day
        have see later""",
    "de": """danke dankeschön dank ok okay super prima perfekt verstanden klasse toll tschüss passt / hallo hi moin
        servus guten grüß grüss / schön vielen sehr für die deine ihre hilfe alles klar gut das war ja gott tag morgen
        abend dir euch ihnen nochmals nochmal herzlichen besten recht und""",
    "es": """gracias ok okay vale perfecto genial entendido estupendo adiós adios / hola buenos buenas saludos / muchas
        mil muy bien por todo la tu su ayuda días dias tardes noches de acuerdo y eso es claro""",
    "fr": """merci ok okay parfait super compris génial entendu d'accord / bonjour bonsoir salut coucou / beaucoup bien
        très bon pour votre ton l'aide aide tout c'est à vous toi et mille noté""",
    "it": """grazie ok okay perfetto capito ottimo / ciao buongiorno buonasera salve / mille tante molte molto bene per
        l'aiuto tutto va è e chiaro""",
    "pt": """obrigado obrigada ok okay perfeito entendi ótimo valeu / olá ola oi bom boa / muito muita pela ajuda dia
        tarde noite tudo bem e certo""",
    "nl": """bedankt dank dankjewel dankuwel ok okay prima begrepen / hallo hoi goedemorgen goedemiddag / je u wel
        hartelijk voor de hulp heel veel erg duidelijk goed""",
    "ru": """спасибо благодарю понятно ок хорошо / привет здравствуйте здравствуй добрый / большое вам тебе за помощь
        день вечер всё очень""",
    "zh": """谢谢 谢谢你 谢谢您 多谢 感谢 非常感谢 好的 好 好吧 明白了 明白 知道了 了解 ok
        / 你好 您好 嗨 早上好 晚上好 大家好 / 啊 呀 了""",
    "ja": """ありがとう ありがとうございます ありがとうございました わかりました 了解です 了解
        / こんにちは おはようございます こんばんは / どうも""",
    "ko": "감사합니다 고맙습니다 고마워요 알겠습니다 네 / 안녕하세요 안녕 / 정말",
    "ar": "شكرا شكراً حسنا تمام / مرحبا أهلا السلام عليكم / جزيلا لك",
    "tr": """teşekkürler teşekkür tamam sağol sağolun anladım / merhaba selam günaydın / çok ederim ederiz""",
}

_COURTESIES = {code: tuple(frozenset(group.split()) for group in words.split("/")) for code, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Courtesy:
    """What a message is that asks nothing, and its language (ISO 639-1)."""

    kind: CourtesyKind
    language: str


def courtesy(message: str, history: Sequence[Turn] = ()) -> Courtesy | None:
    """The courtesy that a message is; `None` for anything else.

    Of several languages ("ok", "super") it is that of the last question, else the first of the list.
    """
    if len(message) > MAX_CHARS or "?" in message or "？" in message or any(char.isdigit() for char in message):
        return None
    words = _WORD.findall(message.casefold().replace("’", "'"))
    if not 0 < len(words) <= MAX_WORDS:
        return None
    found = {code: kind for code in _COURTESIES if (kind := _kind(words, code))}
    before = language_of_text(history[-1].question) if history else None
    language = before if before in found else next(iter(found), None)
    return Courtesy(found[language], language) if language else None


def _kind(words: Sequence[str], language: str) -> CourtesyKind | None:
    thanks, greetings, beside = _COURTESIES[language]
    if not all(word in thanks or word in greetings or word in beside for word in words):
        return None
    if any(word in thanks for word in words):
        return "thanks"
    return "greeting" if any(word in greetings for word in words) else None
