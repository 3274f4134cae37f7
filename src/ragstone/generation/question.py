"""Reads a question: the kind of thing it asks for, in fourteen languages, and its terms with their weights.

The kind is found by question words. In scripts with spaces a word counts as a whole; in those without (Chinese,
Japanese, Korean, Thai) any occurrence counts. What is left of the question without these words are its terms, since
no answer repeats "how many".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ragstone.documents.languages import function_words, language_of_text
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.facts import Facts, content_terms, facts

QuestionKind = Literal["date", "number", "person", "place", "reason", "manner", "polar", "definition", "thing"]

MOST_CHARS = 2_000
"""So many characters of a question are read; the longest that a search takes by default."""

_W = r"\w\u0900-\u0963\u0966-\u0dff"  # `\w` leaves out the vowel signs of the Indic scripts
# "What happens when …" does not ask for a date, nor "the man who …" for a person: the word must begin or end a part.
_BEGINS = (
    r"(?:^[\W_]*|[,;:¿] ?|\b(?:and|or|but|since|until|by|to|from|for|of|in|with|at|und|oder|seit|bis|von|für|mit|y|o"
    r"|desde|hasta|de|por|para|con|a|et|ou|depuis|jusqu|à|e|da|per|em|и|или|с|до|от) )"
)
_FIRST = r"^[\W_]*"


@dataclass(frozen=True, slots=True)
class _Asking:
    """The words that ask for a kind of thing, by where they must stand.

    `*` stands for any letters. What stands behind `>` must follow, but remains a term of the question: an answer may
    say "330 metres tall".

    `anywhere`, `beginning` of a part or end of the question, `first` of all: separated by commas. `inside` words, for
    scripts without spaces: separated by spaces, with `_` for a space.
    """

    anywhere: str = ""
    beginning: str = ""
    first: str = ""
    inside: str = ""


_ASKING: dict[QuestionKind, _Asking] = {
    "number": _Asking(
        anywhere="how many, how much, how often, wie viel*, wieviel*, cuánt*, cuant*, combien, "
        "сколько, كم, kaç, ne kadar, "
        "कितन*, berapa, ngapi, kuinka monta, kuinka paljon, hvor mange, hvor mye, hvor ofte, hoeveel, ile, hur "
        "många",
        beginning="quant*, wie oft, how >long, how >far, how >old, how >large, how >big, how >tall, "
        "how >high, how >deep, how >wide, "
        "how >fast, how >heavy, what >percent*, what >number, what >amount, what >fraction, "
        "what >proportion, what >size, "
        "what >price, what >age, which >percent*, which >number, wie >lange, wie >hoch, wie >groß, wie >weit, "
        "wie >alt, wie >teuer, wie >schwer, wie >tief, wie >breit, wie >schnell, wie >lang, "
        "hvor stor*, hvor lang*, hvor høy*, "
        "hvor gammel*, kuinka pitkä, kuinka suuri, qué porcentaje, qué cantidad, quel pourcentage, que "
        "percentagem",
        inside="多少 几个 几次 几人 几年 几天 几岁 几种 几名 几家 几座 幾個 幾次 幾人 幾年 幾天 幾歲 幾種 "
        "幾名 幾座 多长 多長 多大 多高 多久 多远 多遠 多深 いくつ いくら 何人 何個 何回 何本 何枚 何台 "
        "何件 何匹 何社 何校 何歳 "
        "何分 何時間 何度 何メートル 何キロ 何パーセント 何% どのくらい どれくらい どれだけ กี่ เท่าไร เท่าไหร่ เท่าใด "
        ""
        "몇 얼마",
    ),
    "date": _Asking(
        anywhere="what year, what date, what day, what month, what decade, what century, what time, which year, which "
        "date, which day, which month, which decade, which century, welche* jahr*, welche* "
        "tag*, welche* monat*, "
        "qué año*, que año*, qué mes, qué día, qué fecha, qué siglo, quelle année, quel jour, "
        "quel mois, quelle "
        "date, quel siècle, que ano, qual ano, que dia, que mês, che anno, quale anno, che giorno, какой день, "
        "каком году, каком веке, какого года, какого числа, أي عام, أي سنة, اي عام, اي سنة, ne "
        "zaman, hangi yıl*, "
        "hangi tarih*, hangi gün*, hangi ay*, कब, किस वर्ष, किस साल, किस सन, tahun berapa, "
        "kapan, mwaka gani, minä "
        "vuonna, hvilket år, hvilken dag",
        beginning="when, wann, cuándo, cuando, quand, quando, когда, متى, متي, lini, milloin, "
        "når, hvornår, wanneer, kiedy, "
        "när",
        inside="什么时候 什麼時候 何时 何時 几时 哪年 哪一年 哪天 几月 几号 何年 いつ 何月 何日 何世紀 เมื่อไร เมื่อไหร่ "
        ""
        "เมื่อใด ปีใด ปีไหน วันใด วันไหน พ.ศ.ใด 언제 몇_년 몇년 어느_해 몇_월 몇월 며칠",
    ),
    "reason": _Asking(
        anywhere="why, how come, what reason, what cause*, what purpose, what is the reason, "
        "what was the reason, what is "
        "the purpose, what is the cause, warum, weshalb, wieso, wozu, por qué, porqué, "
        "pourquoi, por que, perché, "
        "почему, зачем, отчего, لماذا, neden, niçin, niye, क्यों, mengapa, kenapa, kwa nini, miksi, hvorfor, "
        "waarom, dlaczego, varför, aus welchem grund",
        beginning="porque, perche",
        inside="为什么 為什麼 为何 為何 なぜ 何故 どうして ทำไม เพราะเหตุใด เพราะอะไร 왜",
    ),
    "place": _Asking(
        anywhere="what city, what country, what state, what place, what region, what town, "
        "what continent, which city, "
        "which country, which state, which place, which region, which town, which continent, "
        "أين, اين, nerede*, "
        "nereye, neresi*, कहाँ, कहां, किधर, di mana, dimana, wapi, missä, mistä, mihin, welche* stadt, welche* "
        "land, welche* ort, dónde, adónde, где, откуда, куда, qué ciudad, qué país, quelle "
        "ville, quel pays, que "
        "cidade, que país, quale città, каком городе, какой стране, أي مدينة, أي دولة, أي بلد, hangi şehir*, "
        "hangi ülke*",
        beginning="where, wo, woher, wohin, donde, où, onde, aonde, dove, hvor, waar, gdzie, var",
        inside="哪里 哪裡 哪儿 哪兒 何处 何處 在哪 哪个城市 哪個城市 哪个国家 哪個國家 哪国 哪國 どこ 何県 何市 何国 "
        ""
        "ที่ไหน ประเทศใด จังหวัดใด เมืองใด 어디 어느_나라 어느_도시",
    ),
    "person": _Asking(
        anywhere="whose, whom, wessen, kim, kimin, kimi, kime, kimdir, kimler, कौन, किसने, "
        "किसे, किसका, किसकी, किसके, siapa*, "
        "nani, kuka, kenen, ketä, ketkä, hvem, welche* person, quién, quiénes",
        beginning="who, wer, wem, wen, quien, quienes, qui, quem, chi, кто, кого, кому, кем, "
        "чей, чья, wie is, kto, vem",
        first="من, مَن, من هو, من هي",
        inside="谁 誰 哪位 だれ どなた ใคร 누구 누가",
    ),
    "manner": _Asking(
        anywhere="how to, how do, how does, how did, how can, how could, how should, how "
        "would, how is, how are, cómo, "
        "nasıl, कैसे, bagaimana, miten, hvordan, vipi, как, كيف",
        beginning="how, wie, como, comment, come, hoe, jak, hur, kuinka",
        inside="怎么 怎麼 怎样 怎樣 如何 どうやって どのように どうすれば どう อย่างไร ยังไง 어떻게",
    ),
    "definition": _Asking(
        anywhere="what does * mean, meaning of, qu'est-ce qu*, qu’est-ce qu*, cos'è, cos’è, "
        "che cos'è, что такое, что "
        "значит, что означает, nedir, ne demek*, apa itu, yang dimaksud, क्या है, क्या होता है, क्या होती है, was "
        "bedeutet",
        beginning="what is a, what is an, what are, what's a, define, was ist, was sind, qué "
        "es, qué son, qué significa, o "
        "que é, o que são, o que significa, che cosa è, cosa è, cosa significa, ما هو, ما هي, "
        "ماهو, ماهي, ما معنى",
        inside="什么是 什麼是 是什么 是什麼 什么意思 什麼意思 とは คืออะไร หมายถึง 무엇인가 이란",
    ),
    "polar": _Asking(
        anywhere="ли, هل, mı, mi, mu, mü, mıdır, midir, est-ce qu*, peut-on, puis-je, faut-il, "
        "dois-je, doit-on, y a-t-il, "
        "apakah, bisakah, bolehkah",
        first="is, are, was, were, do, does, did, can, could, may, must, should, shall, will, "
        "would, has, have, had, "
        "am, ist, sind, war, waren, kann, können, darf, dürfen, muss, müssen, soll, gibt, hat, haben, wird, "
        "werden, es, son, puedo, puede, se puede, hay, está, debo, tiene, é, posso, pode, há, tem, devo, è, si "
        "può, ci sono, c'è, क्या, er, kan, må, har, skal, on, voiko, je, czy",
        inside="吗 嗎 是否 能否 可否 能不能 可不可以 是不是 有没有 ですか ますか できますか ไหม หรือไม่ หรือเปล่า 습니까 "
        ""
        "나요",
    ),
}


def _pattern(words: str) -> str:
    """Alternatives of a comma-separated list, the longest first; `*` stands for letters, `>` for "before"."""
    parts = sorted((word.strip() for word in words.split(",") if word.strip()), key=len, reverse=True)
    return "|".join(_choice(*part.split(">")) for part in parts)


def _choice(word: str, before: str = "") -> str:
    def escaped(text: str) -> str:
        return re.escape(text).replace(r"\*", rf"[{_W}]*")

    return f"{escaped(word.rstrip())}(?= {escaped(before)})" if before else escaped(word)


def _compiled(words: _Asking) -> re.Pattern[str]:
    """One pattern of linear time: its repetitions are those of single letters."""
    whole = rf"(?![{_W}])"
    choices = [rf"(?<![{_W}])(?:{_pattern(words.anywhere)}){whole}"] if words.anywhere else []
    if words.beginning:
        begins = _pattern(words.beginning)
        choices += [rf"{_BEGINS}(?:{begins}){whole}", rf"(?<![{_W}])(?:{begins})[\W_]*$"]
    if words.first:
        choices.append(rf"{_FIRST}(?:{_pattern(words.first)}){whole}")
    if words.inside:
        parts = (part.replace("_", " ") for part in sorted(words.inside.split(), key=len, reverse=True))
        choices.append("|".join(re.escape(part) for part in parts))
    return re.compile("|".join(choices), re.IGNORECASE)


_ASKS = {kind: _compiled(words) for kind, words in _ASKING.items()}

_CLOCK = _compiled(
    _Asking(
        anywhere="what time, what hour, what hours, which hour, which hours, how late, how early, wie viel uhr, "
        "wieviel uhr, wie spät, welche* uhrzeit*, qué hora*, que hora*, quelle heure, quelles heures, che ora, "
        "che ore, quale ora, котором часу, который час, во сколько, какое время, "
        "أي ساعة, اي ساعة, كم الساعة, الساعة كم, saat kaç*, hangi saat*, कितने बजे, किस समय, "
        "jam berapa, pukul berapa, saa ngapi, mihin aikaan, "
        "hvilken tid, hvilket klokkeslett, hoe laat, o której, hur dags, vilken tid",
        inside="几点 幾點 何時に 何時から 何時まで 何時です 何時頃 何時ごろ กี่โมง กี่ทุ่ม เวลากี่ 몇_시에 몇시에 "
        "몇_시부터 몇시부터 몇_시까지 몇시까지 몇_시입 몇_시예 몇_시인",
    )
)
"""What asks for a time of day; "how many" in some of them asks for no number."""
_NO_CLOCK = re.compile(r"\bwhat time (?:of (?:the )?year|zone|frame|period|span)\b", re.IGNORECASE)
_GERMAN_WHAT = re.compile(r"[\W_]*was\b", re.IGNORECASE)

_NO_FOCUS = "is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must|of|kind|type|other"
_FOCUS = re.compile(
    rf"(?<!\w)(?:what|which) (?!(?:{_NO_FOCUS})\b)(\w+)|(?<!\w)welche[rsnm]? (\w+)"
    r"|(?<!\w)(?:cuál|qué) (?!es |son )(\w+)"
    r"|(?<!\w)quel(?:le)?s? (?!est |sont )(\w+)|(?<!\w)какой? (\w+)|(?<!\w)hangi (\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """The parts of a question.

    `ordered` are its content terms without the words that say what is asked for ("how
    many"), since no answer repeats those; `weights` how rare each is among the sentences;
    `focus` the word after what or which, `""` if none. `language`: ISO 639-1, `None` if unknown.
    """

    text: str
    asks: QuestionKind
    ordered: tuple[str, ...]
    weights: dict[str, float]
    facts: Facts
    focus: str
    language: str | None


def read(text: str, sentences: Sequence[Iterable[str]]) -> Question:
    """Analyse a question.

    Args:
        text: The question; more than `MOST_CHARS` characters are cut.
        sentences: The keys (see `key`) of each sentence that may answer. The weight of a term is its idf over them.
    """
    text = text[:MOST_CHARS]
    asks, rest = asked_for(text)
    language = language_of_text(text)
    ordered = _content(rest, language) or _content(text, language)
    counts = Counter(term for sentence in sentences for term in frozenset(sentence))
    weights = {term: _idf(counts[term], len(sentences)) for term in ordered}
    focus = _FOCUS.search(text)
    word = next((found for found in focus.groups() if found), "") if focus else ""
    return Question(text, asks, ordered, weights, facts(rest), _first_key(word), language)


def asked_for(text: str) -> tuple[QuestionKind, str]:
    """The kind of thing asked for, and the question without the words that say so."""
    kind, (start, end) = _asking(text)
    return kind, f"{text[:start]} {text[end:]}" if end else text


def _asking(text: str) -> tuple[QuestionKind, tuple[int, int]]:
    """The kind of thing asked for, and the span of the words that say so, (0, 0) if there are none."""
    if asks_time_of_day(text) and (found := _CLOCK.search(text)):
        return "date", found.span()
    for kind, pattern in _ASKS.items():
        found = pattern.search(text)
        if found and not (kind == "polar" and _GERMAN_WHAT.match(text) and language_of_text(text) == "de"):
            return kind, found.span()
    return "thing", (0, 0)


def content_words(text: str) -> list[tuple[int, int]]:
    """The spans of a question's words that an answer may hold: neither grammar nor what says what is asked for."""
    _, (start, end) = _asking(text)
    grammar = STOPWORDS | function_words("en") | function_words(language_of_text(text))
    words = [found for found in _WORD.finditer(text) if found[0].casefold() not in grammar]
    return [found.span() for found in words if not start <= found.start() < end] or [found.span() for found in words]


def asks_time_of_day(text: str) -> bool:
    """Whether a question asks for a time of day, to which no year or date is an answer."""
    return _CLOCK.search(text) is not None and not _NO_CLOCK.search(text)


KEY_LETTERS = 6
KEY_LETTERS_ELSEWHERE = 5
"""So many letters of a word count when words are compared across inflections, in the Latin script and in others; 4 to 5
do best for retrieval in European languages (McNamee and Mayfield, "Character n-gram tokenization for European language
text retrieval", 2004), one more keeps apart what Porter's stemmer of English has shortened already."""
_WORD = re.compile(r"[^\W_]+")
_ARTICLE = re.compile("^(?:[وفبك]?ال|لل)(?=..)")  # the article of Arabic is written with its word
_WORDS_ONLY = re.compile(r"[^\W\d_]{6,}")


def key(term: str) -> str:
    """What two index terms must share to be one word: all of them, or their first letters if they are long."""
    if not term.isascii():
        term = _ARTICLE.sub("", term)
    if not _WORDS_ONLY.fullmatch(term):
        return term
    return term[: KEY_LETTERS if term.isascii() else KEY_LETTERS_ELSEWHERE]


def _content(text: str, language: str | None) -> tuple[str, ...]:
    """Keys of the terms of a question in their order, without the function words."""
    content, grammar = content_terms(text), _grammar(language)
    return tuple(dict.fromkeys(key(term) for term in terms(text) if term in content and term not in grammar))


@lru_cache
def _grammar(language: str | None) -> frozenset[str]:
    """The terms of the function words of a language."""
    return frozenset(term for word in function_words(language) for term in terms(word))


def _first_key(word: str) -> str:
    found = [term for term in terms(word) if term not in STOPWORDS]
    return key(found[0]) if found else ""


def _idf(count: int, sentences: int) -> float:
    """Inverse document frequency as in BM25."""
    return math.log(1 + (sentences - count + 0.5) / (count + 0.5))
