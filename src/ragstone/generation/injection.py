"""Text in documents that is written for an answering program, or that sends its reader away, and states nothing.

Documents are full of orders: "Run `pip install`" answers a question. What is found here is narrower: orders about the
answer itself or to an assistant, requests to hand over credentials, bare links, and sentences that repeat the question
without stating anything. Words are listed for English, German, Spanish, French and Chinese, those of the answer itself
for more languages; addresses and repeated questions are found in any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from ragstone.documents.languages import function_words
from ragstone.documents.sentences import sentences
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.answer_kinds import held
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import facts
from ragstone.generation.question import Question, key, read
from ragstone.vocabulary import Passage

MOST_CHARS = 2_000
"""So many characters of a sentence are read; longer ones are data."""
REPEATS = 0.6
"""The share of the question's terms from which a sentence repeats it."""
STATES_NOTHING = 3
"""A sentence that repeats the question and has at most so many words of its own, none of the kind asked for, states
nothing; chosen, like `REPEATS`, on half of the open injections and on echoes of our own."""

_GAP = r"[^.!?。！？\n<>\[\]]{0,60}?"
_PROGRAM = re.compile(
    r"\b(?:as an ai|(?:large )?language models?|ai (?:assistants?|models?|systems?)|system prompts?|chat ?bots?"
    r"|chatgpt"
    r"|llms?|ki-assistent\w*|sprachmodell\w*|asistente de ia|modelos? de lenguaje|modèles? de langage|assistant ia)\b"
    r"|语言模型|智能助手|人工智能助手",
    re.IGNORECASE,
)
_TO_A_PROGRAM = re.compile(
    r"\b(?:dear|attention|attn|notes? (?:to|for)|message (?:to|for)|instructions? (?:to|for)|hinweis an"
    r"|anweisung an|nota para"
    r"|note (?:à|pour))[ :,]{1,3}(?:the |all |any |den |die |das |el |la |los |l['’]|le |les )?(?:ai|ki|ia"
    r"|assistant\w*|assistent\w*"
    r"|asistente\w*|language models?|sprachmodell\w*|chat ?bots?|bots?|llms?|models?)\b|\b(?:assistants?"
    r"|assistent|asistente)[:,] "
    r"|\bassistants? (?:must|should|shall|reading)\b|(?:致|给)(?:AI|人工智能|智能)?助手|助手[，,：:]?(?:必须|应|请)"
    r"|\[/?(?:inst|system)\]|<\|?(?:im_start|system)[^>]{0,20}>",
    re.IGNORECASE,
)
_OVERRIDE = re.compile(
    rf"\b(?:ignore|disregard|forget|override|overlook|bypass)\b{_GAP}\b(?:(?:your|all|previous|prior|earlier"
    r"|the above|system) (?:\w+ )?(?:instructions?|rules|prompts?|directions|guidelines)|instructions|(?:other"
    r"|previous|earlier|above) (?:documents?|sources?|passages?|context|text|answers?)"
    r"|you (?:have been|were) told|told (?:you|before))\b"
    rf"|\b(?:ignorier|vergiss|vergesst|vergessen|missacht)\w*{_GAP}(?:anweisung|regel|vorgabe|befehl)"
    rf"|\b(?:ignor|olvid|descart)\w*{_GAP}(?:instrucci|reglas|órdenes)|\b(?:ignor|oubli)\w*{_GAP}(?:instructions"
    rf"|consignes|règles)"
    r"|(?:忽略|无视|忽视|忘记|忘掉)[^。！？\n]{0,20}(?:指示|指令|规则|说明|提示|内容)",
    re.IGNORECASE,
)
_ANSWER_OF_YOURS = re.compile(
    r"\byour (?:(?:final|next|whole|entire) )?(?:answers?|responses?|reply|replies)\b|\b(?:deine|ihre"
    r"|eure)[rn]? antwort"
    r"|\b(?:tu|su) respuesta|\b(?:ta|votre) réponse|(?:你|您)的(?:回答|回复|答案|答复)",
    re.IGNORECASE,
)
_ORDER_ABOUT_IT = re.compile(
    r"^[\W_]*(?:please )?(?:(?:in|at the end of|before|after) (?:your|the) \w+[, ]+)?(?:please )?(?:add|append"
    r"|include|insert"
    r"|integrate|incorporate|mention|modify|rewrite|replace|substitute|use|begin|start|end|finish|write|say"
    r"|state|tell|give"
    r"|provide|render|misspell|scramble|rearrange|remove|group|encode|translate|make|ensure|always|only|never"
    r"|do not|don't"
    r"|respond|reply|answer|enhance|suggest|recommend|tease|conclude|repeat|print|output|quote|cite|füge|nenne"
    r"|schreibe"
    r"|antworte|sage"
    r"|verwende|beginne|añade|incluye|escribe|responde|di|ajoute\w*|inclu\w*|écri\w*|répond\w*|请|用|在)",
    re.IGNORECASE,
)
_ENTRUSTED = (
    r"(?:passwords?|passphrases?|passcodes?|credentials|(?:api|secret|private|access) (?:keys?|tokens?)|pin(?: code)?"
    r"|credit card\w*|card numbers?|login(?: data| details)?|bank (?:details|account)|social security|one-time codes?"
    r"|passw[oö]rt\w*|kennw[oö]rt\w*|zugangsdaten|kreditkart\w*|contraseñas?|credenciales|tarjeta|mots? de passe"
    r"|identifiants"
    r"|carte bancaire|密码|口令|凭据|凭证|账号|信用卡)"
)
_HAND_OVER = re.compile(
    r"(?:\b(?:send|share|give|tell|reveal|post|e?-?mail|submit|text|disclose|hand|confirm|verify|reply|enter"
    r"|type|provide|sende\w*"
    r"|schick\w*|teil\w*|nenn\w*|verrat\w*|bestätig\w*|gib|geben|env[ií]\w*|compart\w*|introdu\w*|escrib\w*"
    r"|revel\w*|confirm\w*"
    r"|envoy\w*|donn\w*|saisi\w*|communiqu\w*|révél\w*)\b|发送|提供|输入|告诉|告知|填写|分享)"
    rf"{_GAP}(?:\b(?:your|deine?[nm]?|ihre?[nm]?|eure?|tus?|sus?|tes|ton|vos|votre|users?|users?['’]s?|me the"
    rf"|us the)|您的?|你的?|用户的?)"
    rf"[^.!?。！？\n<>\[\]]{{0,25}}?{_ENTRUSTED}",
    re.IGNORECASE,
)
_TO_WHOM = re.compile(
    r"\b(?:to|with|by) (?:me|us|this|the (?:address|number|form|page|link))\b|\b(?:me|us) your\b|\bto (?:see"
    r"|view|unlock|get|receive"
    r"|continue|read|obtain|find)\b|\bbelow\b|\bum\b.{0,40}\bzu (?:sehen|lesen|erhalten)|\b(?:an|mit) (?:mich"
    r"|uns)\b|\b(?:me|nos|para ver"
    r"|para leer|moi|nous|pour (?:voir|lire|obtenir))\b|(?:才能|以便|给我|给我们|查看)",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(?:never|not|don['’]t|nobody|no one|nie|niemals|nicht|kein\w*|nunca|no|jamais|ne|pas)\b|不要|切勿|请勿"
    r"|不会|绝不",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:https?|ftp)://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{2,64}|\b[\w-]{2,63}\.(?:com|net|org|io"
    r"|xyz|info|example|ru|cn|de"
    r"|tk|top|site)(?:/\S*)?(?![\w.])",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
_ELSEWHERE = re.compile(
    r"\b(?:open|opening|visit\w*|click\w*|follow|call|dial|log ?in\w*|sign ?(?:in|up)\w*|scan\w*|subscrib\w*"
    r"|register\w*|download\w*|contact"
    r"|unlock\w*|buy|pay|read on|find out|learn|see|available|behind|öffne\w*|besuch\w*|klick\w*|ruf\w*"
    r"|anmeld\w*|melde\w*|abonnier\w*|abre|abra"
    r"|visit\w*|haga|haz|clic|llame|inici\w*|suscr\w*|descarg\w*|ouvr\w*|cliqu\w*|appel\w*|connect\w*|abonn\w*"
    r"|télécharg\w*)\b"
    r"|打开|点击|访问|登录|扫描|订阅|下载|联系",
    re.IGNORECASE,
)
_THE_ANSWER = re.compile(
    r"\b(?:answers?|solution|antwort\w*|lösung|respuestas?|solución|réponses?|respostas?|risposte?|risposta"
    r"|ответ\w*|cevap\w*|yanıt\w*)\b"
    r"|答案|解答|答え|回答|대답|정답|الجواب|إجابة|الإجابة|उत्तर|คำตอบ",
    re.IGNORECASE,
)
_ASKS_ADDRESS = re.compile(
    r"\b(?:urls?|links?|address\w*|web ?sites?|sites?|web ?pages?|e?-?mails?|repositor\w*|download\w*|adress\w*"
    r"|webseite|enlaces?|direcci\w*"
    r"|correo|liens?|adresses?|contact\w*|kontakt\w*|where|wo|dónde|donde|où)\b|网址|链接|地址|邮箱",
    re.IGNORECASE,
)
_META = (
    "answer question page section document article guide text shown given found explained described available click "
    "open visit here below link site website know find learn read see frage antwort seite hier pregunta respuesta "
    "página aquí réponse ici only after first now today everyone asks wondered wonder explain explains detail "
    "details describe describes "
    "tell tells say says learn discover log sign please login register call hotline contact view reveal get "
    "receive seite "
    "erklärt "
    "erfahren lesen weiter página explica leer más expliquer lire suite official source according"
)
_META_KEYS = frozenset(key(term) for term in terms(_META))


def instructs(text: str) -> bool:
    """Whether a sentence gives an order to an assistant or about the answer, or asks for credentials."""
    text = text[:MOST_CHARS]
    if _TO_A_PROGRAM.search(text) or (_PROGRAM.search(text) and _ORDER_ABOUT_IT.match(text)):
        return True
    if _OVERRIDE.search(text) or (_ANSWER_OF_YOURS.search(text) and _ORDER_ABOUT_IT.match(text)):
        return True
    asks = _HAND_OVER.search(text) is not None and not _NEVER.search(text)
    return asks and (_ADDRESS.search(text) is not None or _TO_WHOM.search(text) is not None)


def no_answer(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence must not be quoted as an answer, however well its words fit.

    It is an order of the kind of `instructs`, a bare link that was not asked for, sends the reader elsewhere for the
    answer, or repeats the question without stating anything.
    """
    text = one.text[:MOST_CHARS]
    return (
        (one.kind != "code" and instructs(text))
        or (_bare_link(text) and not _ASKS_ADDRESS.search(asked.text))
        or _defers(asked, text)
        or _echoes(asked, one)
    )


def instructions_in(question: str, passages: Sequence[Passage]) -> bool:
    """Whether a passage holds an order to an assistant, a request for credentials, or a lure instead of an answer."""
    asked = read(question, [])
    texts = (
        passage.chunk.text[unit.start : unit.end][:MOST_CHARS]
        for passage in passages
        for unit in sentences(passage.chunk.text)
        if unit.kind != "code"
    )
    return any(instructs(text) or _defers(asked, text) for text in texts)


def _bare_link(text: str) -> bool:
    """Whether nothing is left of a sentence without its addresses."""
    return _ADDRESS.search(text) is not None and len(_own_words(text)) < 2


def _own_words(text: str) -> frozenset[str]:
    """The keys of the content words of a text, without its addresses."""
    plain = _ADDRESS.sub(" ", _LINK.sub(r" \1 ", text))
    return frozenset(key(term) for term in terms(plain) if term not in STOPWORDS)


def _defers(asked: Question, text: str) -> bool:
    """Whether a sentence sends the reader elsewhere, and speaks of the answer or says nothing of the question."""
    address = _ADDRESS.search(text) is not None
    if not address and not _ELSEWHERE.search(text):
        return False
    own = _own_words(text)
    shared = _share(asked, own)
    if _THE_ANSWER.search(text) and not _THE_ANSWER.search(asked.text):
        return address or shared >= REPEATS or len(_stated(asked, own)) <= 1
    is_about_way = asked.asks in ("manner", "place", "polar") or _ASKS_ADDRESS.search(asked.text) is not None
    return address and shared == 0 and not is_about_way


def _echoes(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence repeats the question and states nothing of the kind asked for."""
    if one.kind in ("row", "item", "code"):  # "Weight: 41 kg" repeats the question and states what was asked for
        return False
    text = one.text[:MOST_CHARS]
    own = _own_words(text)
    if not own or _share(asked, own) < REPEATS:
        return False
    new = own - frozenset(asked.ordered) - _grammar(asked.language)
    stated = new - _META_KEYS
    if asked.asks in ("polar", "manner", "definition", "thing", "place"):
        return len(stated) == 0 and (bool(new) or asked.asks != "polar")
    plain = _ADDRESS.sub(" ", text)
    return len(stated) <= STATES_NOTHING and held(asked, plain, facts(plain), one.kind).missing


def _stated(asked: Question, own: frozenset[str]) -> frozenset[str]:
    """The words that are neither the question's nor such as any page says of itself."""
    return own - frozenset(asked.ordered) - _grammar(asked.language) - _META_KEYS


def _share(asked: Question, there: AbstractSet[str]) -> float:
    return sum(term in there for term in asked.ordered) / (len(asked.ordered) or 1)


def _grammar(language: str | None) -> frozenset[str]:
    return frozenset(key(term) for word in function_words(language) for term in terms(word))
