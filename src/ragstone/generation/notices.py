"""What an answer says of itself, in the language of the question.

An installation can set its own text where nothing was found (`AnswerOptions.nothing_found`); these are the texts
where it has set none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from ragstone.documents.languages import language_of_text
from ragstone.vocabulary import Passage, SpellingCorrection

NoticeKind = Literal[
    "nothing_found", "closest", "greeting", "thanks", "searched_for", "instructions_in_source", "left_out", "no_model"
]

FALLBACK = "en"
MAX_PASSAGE_CHARS = 300
"""The beginning of a passage that its language is read from, in characters."""

_NOTICES: Mapping[str, Mapping[NoticeKind, str]] = {
    "en": {
        "nothing_found": "I found nothing in the documents that answers this question.",
        "closest": "The documents do not answer this outright. These passages come closest:",
        "greeting": "Hello! Ask a question about the documents.",
        "thanks": "You are welcome. Ask the next question about the documents at any time.",
        "searched_for": "Searched for: {words}",
        "instructions_in_source": "A source contains instructions to its reader. They were not followed.",
        "left_out": "… and {count} more",
        "no_model": "Only questions about the documents are answered here: no language model is set up.",
    },
    "de": {
        "nothing_found": "In den Dokumenten habe ich nichts gefunden, was diese Frage beantwortet.",
        "closest": "Die Dokumente beantworten das nicht ausdrücklich. Diese Stellen kommen der Frage am nächsten:",
        "greeting": "Guten Tag! Stellen Sie eine Frage zu den Dokumenten.",
        "thanks": "Gern geschehen. Stellen Sie jederzeit die nächste Frage zu den Dokumenten.",
        "searched_for": "Gesucht wurde: {words}",
        "instructions_in_source": "Eine Quelle enthält Anweisungen an ihre Leser. Sie wurden nicht befolgt.",
        "left_out": "… und {count} weitere",
        "no_model": "Hier werden nur Fragen zu den Dokumenten beantwortet: Es ist kein Sprachmodell eingerichtet.",
    },
    "es": {
        "nothing_found": "No he encontrado nada en los documentos que responda a esta pregunta.",
        "closest": "Los documentos no lo dicen expresamente. Estos son los pasajes más cercanos:",
        "greeting": "¡Hola! Haga una pregunta sobre los documentos.",
        "thanks": "De nada. Haga cuando quiera la siguiente pregunta sobre los documentos.",
        "searched_for": "Se buscó: {words}",
        "instructions_in_source": "Una fuente contiene instrucciones para sus lectores. No se han seguido.",
        "left_out": "… y {count} más",
        "no_model": "Aquí solo se responden preguntas sobre los documentos: no hay ningún modelo configurado.",
    },
    "fr": {
        "nothing_found": "Je n'ai rien trouvé dans les documents qui réponde à cette question.",
        "closest": "Les documents n'y répondent pas expressément. Voici les passages les plus proches :",
        "greeting": "Bonjour ! Posez une question sur les documents.",
        "thanks": "Je vous en prie. Posez quand vous voulez la question suivante sur les documents.",
        "searched_for": "Recherche effectuée : {words}",
        "instructions_in_source": "Une source contient des instructions à ses lecteurs. Elles n'ont pas été suivies.",
        "left_out": "… et encore {count}",
        "no_model": "Seules les questions sur les documents trouvent une réponse ici : aucun modèle n'est configuré.",
    },
    "zh": {
        "nothing_found": "在文档中没有找到能回答这个问题的内容。",
        "closest": "文档没有直接回答这个问题。以下是最接近的段落：",
        "greeting": "您好！请提出关于文档的问题。",
        "thanks": "不客气。欢迎随时继续提出关于文档的问题。",
        "searched_for": "实际搜索：{words}",
        "instructions_in_source": "有一个来源包含对读者的指令，这些指令没有被执行。",
        "left_out": "……还有 {count} 项",
        "no_model": "这里只回答关于文档的问题：没有设置语言模型。",
    },
    "it": {
        "nothing_found": "Non ho trovato nulla nei documenti che risponda a questa domanda.",
        "closest": "I documenti non lo dicono espressamente. Questi sono i passaggi più vicini:",
        "greeting": "Buongiorno! Faccia una domanda sui documenti.",
        "thanks": "Prego. Faccia quando vuole la prossima domanda sui documenti.",
        "searched_for": "Ricerca eseguita: {words}",
        "instructions_in_source": "Una fonte contiene istruzioni per i suoi lettori. Non sono state seguite.",
        "left_out": "… e ancora {count}",
        "no_model": "Qui si risponde solo a domande sui documenti: non è configurato alcun modello linguistico.",
    },
    "pt": {
        "nothing_found": "Não encontrei nada nos documentos que responda a esta pergunta.",
        "closest": "Os documentos não o dizem expressamente. Estes são os trechos mais próximos:",
        "greeting": "Olá! Faça uma pergunta sobre os documentos.",
        "thanks": "De nada. Faça quando quiser a próxima pergunta sobre os documentos.",
        "searched_for": "Pesquisa feita: {words}",
        "instructions_in_source": "Uma fonte contém instruções aos seus leitores. Não foram seguidas.",
        "left_out": "… e mais {count}",
        "no_model": "Aqui só se responde a perguntas sobre os documentos: não há modelo de linguagem configurado.",
    },
    "nl": {
        "nothing_found": "Ik heb in de documenten niets gevonden dat deze vraag beantwoordt.",
        "closest": "De documenten zeggen dit niet met zoveel woorden. Deze passages komen het dichtst in de buurt:",
        "greeting": "Hallo! Stel een vraag over de documenten.",
        "thanks": "Graag gedaan. Stel gerust de volgende vraag over de documenten.",
        "searched_for": "Gezocht naar: {words}",
        "instructions_in_source": "Een bron bevat instructies aan de lezer. Ze zijn niet opgevolgd.",
        "left_out": "… en nog {count}",
        "no_model": "Hier worden alleen vragen over de documenten beantwoord: er is geen taalmodel ingesteld.",
    },
}  # fmt: skip

LANGUAGES = tuple(_NOTICES)
"""The languages of notices, as ISO 639-1 codes."""


def notice(kind: NoticeKind, language: str, *, words: str = "", count: int = 0) -> str:
    """The text of a notice in a language, in English where it has none.

    `searched_for` names `words`, `left_out` names `count`.
    """
    return _NOTICES.get(language, _NOTICES[FALLBACK])[kind].format(words=words, count=count)


def searched_for(question: str, corrections: Sequence[SpellingCorrection]) -> str:
    """The notice that names the words which were searched for in another spelling, in the language of the question."""
    return notice("searched_for", language_of(question), words=", ".join(one.searched for one in corrections))


def language_of(question: str, passages: Sequence[Passage] = ()) -> str:
    """The language of a question as an ISO 639-1 code.

    Where the question does not tell, such as one of a single word: that of most of `passages`; without them English.
    """
    return language_of_text(question) or _most(passages) or FALLBACK


def _most(passages: Sequence[Passage]) -> str | None:
    """The language of most passages, of equal ones that of the best passage."""
    found = Counter(language_of_text(passage.chunk.text[:MAX_PASSAGE_CHARS]) for passage in passages)
    return max(found, key=lambda code: found[code]) if found else None
