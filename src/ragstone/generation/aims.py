"""Tells a sentence that only says what was examined from one that says what was found.

"We examined whether salt shortens the life of a winch" repeats a question well and answers it badly. Such sentences
stand in the abstracts of papers and in the introductions of reports. Patterns are for English, German, Spanish, French
and Chinese.
"""

from __future__ import annotations

import re

MOST_CHARS = 1_000
"""So many characters of a sentence are read."""

_INQUIRE = (
    r"(?:examin|investigat|assess|evaluat|determin|explor|test|study|studi|ask|analy[sz]|compar|characteri[sz]|address"
    r"|elucidat|clarif|review|seek|sought)\w*"
)
_FIND_OUT = rf"(?:{_INQUIRE}|(?:identif|quantif|measur|estimat|establish|describ|understand)\w*)"
_OBJECT = r"(?:whether|if|how|why|what|which|the (?:\w+ ){1,2}(?:of|between|on|in|that|and)|(?:its|their) \w+)"
_ADVERBS = r"(?:(?:have|has|had|will|can|then|also|here|therefore|thus|first|next|now|did|\w+ly) ){0,3}"
_STUDY = (
    r"(?:study|studies|paper|article|review|work|trial|report|analysis|experiment|thesis|survey|investigation|research)"
)
_AIM = re.compile(
    rf"\b(?:we|i|(?:this|the|our|present|current) (?:\w+ )?{_STUDY}|authors?) {_ADVERBS}{_INQUIRE}"
    rf" (?:\w+ ){{0,3}}?{_OBJECT}\b"
    rf"|\b(?:aims?|objectives?|purposes?|goals?) of (?:this|the|our|these) (?:\w+ ){{0,2}}?{_STUDY}\b"
    r"[^.!?]{0,20}?\bto\b"
    rf"|\bour (?:\w+ )?(?:aims?|objectives?|purposes?|goals?)\b[^.!?]{{0,20}}?\bto (?:\w+ )?{_FIND_OUT}\b"
    rf"|^[\W_]*(?:aims?|objectives?|purpose|goals?)[\W_]+(?:was |is |were )?to (?:\w+ )?{_FIND_OUT}\b"
    rf"|\b(?:we|i|{_STUDY}|authors) {_ADVERBS}(?:aims?|aimed|sought|intend\w*|set out|wanted|attempt\w*"
    rf"|(?:was|were) (?:designed|undertaken|conducted|performed)) to (?:\w+ )?{_FIND_OUT}\b"
    rf"|^[\W_]*(?:here,? |in (?:this|the present|our) {_STUDY},? )(?:we |i )(?:have )?(?:\w+ )?{_INQUIRE}\b"
    rf"|^[\W_]*to (?:\w+ )?{_INQUIRE} {_OBJECT}\b[^,]*$"
    r"|\b(?:wir|ich|diese (?:arbeit|studie|untersuchung)|dieser (?:artikel|bericht|beitrag)) (?:\w+ ){0,3}?"
    r"(?:untersuch\w*|prüf\w*|erforsch\w*|vergleich\w*|frag\w*|analysier\w*)[^.!?]{0,60}?"
    r"\b(?:ob|wie|warum|welche\w*|den einfluss|die (?:wirkung|rolle))\b"
    r"|\bziel (?:dieser|der|unserer|des|dieses) (?:\w+ )?(?:arbeit|studie|untersuchung|artikels|berichts) (?:ist|war)\b"
    r"|\b(?:investigamos|examinamos|estudiamos|analizamos|evaluamos) (?:\w+ ){0,3}?"
    r"(?:si|cómo|por qué|el efecto|el papel)\b"
    r"|\bobjetivo (?:del|de (?:este|esta|la|nuestro)) (?:estudio|trabajo|artículo|investigación|tesis) (?:es|era|fue)\b"
    r"|\bnous (?:examinons|étudions|évaluons|analysons|avons (?:examiné|étudié|évalué|cherché)) (?:\w+ ){0,3}?"
    r"(?:si|comment|pourquoi|l['’]effet|le rôle)\b"
    r"|\b(?:objectif|but) de (?:cette|notre|ce|l['’]) ?(?:étude|travail|article|recherche) (?:est|était)\b"
    r"|(?:本文|本研究|我们|该研究)(?:旨在|拟)?(?:研究|探讨|考察|检验|调查|分析|评估)了?"
    r"(?:[^。！？]{0,6}(?:是否|如何|为何)|[^。！？]{0,30}的(?:影响|作用|关系)。?$)"
    r"|(?:本文|本研究|该研究)(?:旨在|的目的是)",
    re.IGNORECASE,
)
_FOUND = re.compile(
    r"\b(?:found|finds?|findings?|shows?|showed|shown|demonstrat\w*|conclude\w*|conclusions?|reveal\w*|suggest\w*"
    r"|indicat(?:e|es|ed|ing)|results?|observed|discovered|confirmed|proved"
    r"|fanden|gefunden|zeigt\w*|zeigen|ergab\w*|ergebnis\w*|stellten fest"
    r"|encontramos|muestra\w*|mostr\w*|resultado\w*|concluy\w*|hallamos"
    r"|trouvé|trouvons|montr\w*|résultats?|constat\w*|révèl\w*)\b|发现|表明|显示|结果|证明|结论",
    re.IGNORECASE,
)
_ASKS_AIM = re.compile(
    r"\b(?:aims?|aimed|goals?|purposes?|objectives?|intend\w*|ziel\w*|zweck\w*|objetivo\w*|propósito\w*|objectifs?"
    r"|(?:le|quel) but)\b"
    r"|\bwhat (?:does|did|do|has|have|was|were|is|are) (?:\w+ ){0,4}?(?:examin\w*|investigat\w*|study|studied"
    r"|research\w*|assess\w*|test|tested|look\w*)\b"
    rf"|\bwhat (?:is|was|are) (?:the|this|that) (?:\w+ )?{_STUDY}\b"
    rf"|\b(?:about|of) (?:the|this) {_STUDY}\b"
    r"|\b(?:untersucht\w*|erforscht\w*|qué (?:estudia|investiga|examina)\w*|(?:étudie|examine)(?:nt)?|a étudié)\b"
    r"|目的|目标|研究了?什么|探讨了?什么",
    re.IGNORECASE,
)


def asks_for_aim(question: str) -> bool:
    """Whether a question asks what was examined, or about a study as such."""
    return _ASKS_AIM.search(question) is not None


def only_aims(text: str) -> bool:
    """Whether a sentence says what was examined, and nothing of what was found."""
    text = text[:MOST_CHARS]
    return _AIM.search(text) is not None and not _FOUND.search(text)
