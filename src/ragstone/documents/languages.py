"""The language of a text, read from its script, its function words and its letters; needs no model.

A question has few words, so frequencies of letters tell little and function words tell most: "wie", "ist" and "der" are
German. Each word counts for the languages that have it, less where several do. Letters that one language alone writes
count too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

MAX_CHARS = 600
"""The beginning of a text that is read, in characters; a language shows in its first sentences."""

_EN = """a about all am an and any are as at be been being both but by can could did do does doing each else
    few for from had has have having he her hers him his how i if in into is it its just let like many may me might
    mine more most much must my no nor not of off on once one ones only or other our out over own please same
    shall she should so some such tell than that the their theirs them then there these they this those to too
    under up us very was we were what when where which while who whom whose why will with would you your"""
_DE = """aber alle als also am an auch auf aus bei beim bin bis bitte da damit dann das dass davon dazu dein
    dem den denn der des die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen
    einer eines er es etwas für gibt habe haben hat hatte hier ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im
    in ist ja jede jeder jedes kann kein keine können lange man mehr mein mich mir mit muss müssen nach nicht
    noch nur ob oder ohne sein seine seinem seinen seiner sich sie sind so soll sollte über um und uns unser
    unter viel viele vielen vom von vor wann war waren warum was weil welche welchem welchen welcher welches wem wen
    wenn wer werde werden wie wieso wieviel wir wird wirst wo wofür woher wohin worden wurde wurden zu zum zur
    zwischen"""
_ES = """a al algo alguna alguno antes aquel aquella aquí así aunque cada como cómo con cual cuál cuáles
    cuando cuándo cuanta cuánta cuántas cuanto cuánto cuántos de del desde donde dónde dos durante e el él
    ella ellas ellos en entonces entre era eran es esa ese eso esta está están estas este esto estos fue
    fueron ha hace hacer hay hasta la las les lo los más me mi mis muy no nos nosotros otra otro para pero
    poco por porque pues puede pueden puedo que qué quién quiénes quien se sea ser si sí sido sin sobre son su
    sus también tan te tiene tienen todo todos tu tus un una unas uno unos usted y ya yo"""
_FR = """à ai alors après au aussi autre aux avant avec avoir bien c'est car ce cela celle celui ces cet
    cette ceux chaque chez comme comment contre d dans de depuis des deux dois doit donc dont du elle elles en
    encore entre es est est-ce et étaient était été être eu eux fait faire faut fois font il ils j'ai je l la
    laquelle le lequel les lesquels leur leurs lors lui ma mais me même mes moi mon ne nos notre nous on ont
    ou où par pas pendant peut peuvent peux plus pour pourquoi qu qu'est-ce qu'il quand que quel quelle
    quelles quels qui quoi sa sans se sera ses si son sont sous sur ta te tes toi ton tous tout toute toutes
    très tu un une vers vos votre vous y"""
_IT = """a ad agli ai al alla alle allo anche avere c'è che chi ci come con così cosa da dagli dai dal dalla
    dalle degli dei del della delle dello di dopo dove dov'è e è ed era erano essere fa fino fra gli ha hanno
    ho i il in io la le lei li lo loro lui ma mi mia mio molto ne nei nel nella nelle nello noi non nostro
    ogni per perché però più poi prima può possono posso qual quale quali quando quanta quante quanti quanto
    quella quello questa queste questi questo se senza si sia siamo sono stata stato su sua sue sugli sui sul
    sulla suo suoi te ti tra tu tuo tutti tutto un una uno vi voi"""
_PT = """a à ao aos as às até com como da das de dela dele deles depois desde do dos e é ela elas ele eles em
    entre era eram essa essas esse esses esta está estão este estes eu foi foram há isso isto já lhe mais mas
    me mesmo meu minha muito na não nas nem no nos nós nossa nosso num numa o onde os ou para pela pelas pelo
    pelos pode podem por porque posso qual quais quando quanta quanto quantos quantas que quê quem são se seja
    sem ser será seu seus sob sobre sua suas também te tem têm ter teu tinha tu tudo um uma você vocês"""
_NL = """aan al alle als ben bij dan dat de deze die dit doen door dus een eens en er geen had hadden heb
    hebben heeft het hij hoe hoeveel hun iemand ik in is ja je jij jullie kan kunnen langs maar meer men met
    mijn moet moeten na naar niet niets nog nu of om omdat ons onze ook op over te tegen toch toen tot tussen
    u uit uw van veel voor waar waarom wanneer want waren was wat we wel welk welke werd werden wie wij wilt
    worden wordt zal ze zelf zich zij zijn zo zonder zou"""
_PL = """aby ale bez bo był była było były by być co czy czego czym czemu dla do dlaczego gdy gdzie go i ich
    ile im ja jak jaka jaki jakie jako je jego jej jest jeszcze jeśli już każdy kiedy kim komu kto która które
    który ktoś lub ma mam mają mi mnie mogę może można musi na nad nam nas nie niż o od on ona one oni oraz po
    pod przed przez przy są się skąd ta tak także tam te tego tej ten to tu tylko tym u w we wszystko z za ze
    że"""
_SV = """alla att av blev bli blir både de dem den denna dess dessa det detta dig din du där efter eller en
    ett finns från får för ha hade han hans har henne hon hur här i icke in inte jag ju kan man med mellan men
    mig min mot mycket måste ni nu när och om oss på sedan sig sin ska skall skulle som så till under upp ut
    utan vad var varför varit vem vi vid vilka vilken vilket vill är än över"""
_TR = """acaba ama ancak bana bazı ben bir biz bu buna bunu çok da daha de değil diye en gibi hangi hangisi
    hem hep her için ile ise kaç kadar kim kimin ki mı mi mu mü nasıl ne neden nedir nerede nereye niçin niye
    o olan olarak oldu olur onu onun sen siz şu tüm var ve veya ya yok zaman"""
_RU = """а без был была были было быть в вам вас во вот все всё вы где да для до его ее её если есть еще ещё
    же за здесь и из или им их к как какая какие какой какое когда которая которые который кто ли мы на над
    надо не него нет ни но ну о об он она они оно от очень по под почему при с сколько со так там то тот тоже
    только ты у уже чего чем что чтобы это эта эти этот я"""

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": _EN, "de": _DE, "es": _ES, "fr": _FR, "it": _IT, "pt": _PT, "nl": _NL, "pl": _PL, "sv": _SV, "tr": _TR,
        "ru": _RU,
    }.items()
}  # fmt: skip
"""The words of each language (ISO 639-1) that carry grammar and no content, question words included; casefolded."""

_LETTERS = {
    "de": "äöüß", "es": "ñ¿¡", "fr": "éçœêèëùîâû", "it": "òìù", "pt": "ãõçâêô", "pl": "łąęśźżćń", "sv": "åäö",
    "tr": "ığşöü",
}  # fmt: skip
"""The letters of each language that few others write."""
_SCRIPTS = {
    "ja": "\u3041-\u30ff",
    "ko": "\u1100-\u11ff\uac00-\ud7a3",
    "th": "\u0e01-\u0e5b",
    "fa": "\u067e\u0686\u0698\u06af\u06cc\u06a9",  # letters of Persian beside those of Arabic
    "ar": "\u0621-\u064a",
    "he": "\u05d0-\u05ea",
    "hi": "\u0900-\u097f",
    "el": "\u0370-\u03ff",
    "uk": "\u0456\u0457\u0454\u0491",  # letters of Ukrainian beside those of Russian
    "ru": "\u0430-\u0451",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}  # fmt: skip
"""Letters of other scripts, by language. In this order: a Japanese text holds Chinese characters too."""

_WRITTEN_IN = {
    letter: [code for code, letters in _LETTERS.items() if letter in letters] for letter in "".join(_LETTERS.values())
}
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_OTHER_SCRIPTS = {code: re.compile(f"[{letters}]") for code, letters in _SCRIPTS.items()}
_LETTER_WEIGHT = 0.3  # of a letter that few languages have, against 1 for a word that one language has
_SCRIPT_WEIGHT = 0.25  # of a letter of another script: four make a word


def language_of_text(text: str) -> str | None:
    """The language of a text as an ISO 639-1 code; `None` where no script, function word or letter tells.

    A text in several languages is of the one with most evidence; of equal ones English, then the order of
    `FUNCTION_WORDS`. Names in Latin letters do not count against another script.
    """
    start = text[:MAX_CHARS].casefold()
    scores = _latin_scores(start)
    for code, pattern in _OTHER_SCRIPTS.items():
        if letters := len(pattern.findall(start)):
            # Only the first: characters of the later scripts belong to the same words.
            scores[code] += _SCRIPT_WEIGHT * (letters + sum(len(each.findall(start)) for each in _beside(code)))
            break
    best = max(scores.values(), default=0.0)
    return next((code for code in (*FUNCTION_WORDS, *_SCRIPTS) if scores[code] == best), None) if best else None


def function_words(language: str | None) -> frozenset[str]:
    """The function words of a language, those of English where it is unknown; empty for one without a list."""
    return FUNCTION_WORDS.get(language or "en", frozenset())


def _beside(code: str) -> list[re.Pattern[str]]:
    """The scripts whose letters a language writes beside its own."""
    return [_OTHER_SCRIPTS[other] for other in {"ja": ("zh",), "fa": ("ar",), "uk": ("ru",)}.get(code, ())]


def _latin_scores(text: str) -> dict[str, float]:
    scores: dict[str, float] = defaultdict(float)
    for found in _WORD.finditer(text):
        word = found[0].replace("’", "'")
        for part in (word, *word.split("'")[:-1]):
            having = _languages_with(part)
            for code in having:
                scores[code] += 1 / len(having)
    for letter, writers in _WRITTEN_IN.items():
        # A letter of several languages decides nothing alone: "ä" is Finnish as well.
        for code in writers if len(writers) == 1 else [code for code in writers if scores[code]]:
            scores[code] += _LETTER_WEIGHT * min(1, text.count(letter))
    return scores


@lru_cache(maxsize=1 << 12)
def _languages_with(word: str) -> tuple[str, ...]:
    return tuple(code for code, words in FUNCTION_WORDS.items() if word in words)
