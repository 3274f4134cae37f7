"""One key for the spellings of an English word in different countries: colour and color, organise and organize.

Systematic endings are rules; what follows none is listed. A key is for comparing alone: two words with one key are
taken for one word only where a claim has one of them and its evidence the other, so that the rules may be generous.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ENDINGS = (
    (
        re.compile(
            r"(?<=[a-z]{2})our(?=(?:s|ed|ing|ers?|al|ally|ably|able|ful|fully|less|ites?|ists?|y|ly|hoods?|isms?)?$)"
        ),
        "or",
    ),
    (re.compile(r"^practis(?=(?:e|ed|es|ing|ers?)$)"), "practic"),
    (re.compile(r"^advisor(?=s?$)"), "adviser"),
    (re.compile(r"(?<=[a-z]{3})(?<!adv)(?<!rev)is(?=(?:e|ed|es|ers?|ing|ations?|ational|able)$)"), "iz"),
    (re.compile(r"(?<=[a-z]{2}[lrd]y)s(?=(?:e|ed|es|ers?|ing)$)"), "z"),
    (re.compile(r"(?<=[a-z]{2}[bt])re(?=s?$)"), "er"),
    (re.compile(r"(?<=[a-z]{2}[bt])red$|(?<=neuv)red$"), "ered"),
    (re.compile(r"(?<=[a-z]{2}t)ring$|(?<=neuv)ring$"), "ering"),
    (re.compile(r"^(meag|och|maneuv|louv)re(?=s?$)"), r"\1er"),
    (
        re.compile(
            r"^(?=[a-z]*?[aeiouy]+[^aeiouy]+[aeiou]+ll|(?:fu|du|je|di|tri|vi|crue|gru)[a-z]ll)([a-z]+[aeiou]l)l(?=(?:ed|ing|ings|ers?|ors?|ous|ously|est|ery|ist|ists)$)"
        ),
        r"\1",
    ),
    (
        re.compile(r"^((?:worship|kidnap|handicap|program)p|focuss|biass|combatt|benefitt)(?=(?:ed|ing|ers?)$)"),
        lambda found: found[1][:-1],
    ),
    (
        re.compile(
            r"^((?:self)?(?:fulfil|enrol|instal|distil|instil|appal|enthral|skil|wil))l(?=(?:s|ment|ments|ful|fully)?$)"
        ),
        r"\1",
    ),
    (re.compile(r"(?<=[a-z]{3})ogue(?=s?$)"), "og"),
    (re.compile(r"^(self-?def|def|off|pret|lic)ence(?=(?:s|d|less|lessly)?$)"), r"\1ense"),
    (re.compile(r"^(to|for|after|back|up|down|in|out|on|home|east|west|north|south)wards$"), r"\1ward"),
    (re.compile(r"^(learn|burn|dream|spoil|leap|lean)t$"), r"\1ed"),
    (re.compile(r"^(spel|spil|smel|dwel)t$"), r"\1led"),
    (re.compile(r"^(judg|acknowledg|abridg|lodg)e(?=ments?$)"), r"\1"),
    (re.compile(r"^(ag|lik|siz|sal|mov|unshak|lov|liv)e(?=ing$|able$)"), r"\1"),
    (re.compile(r"^(inflex|connex|reflex)ion(?=s?$)"), lambda found: f"{found[1][:-1]}ction"),
    (re.compile(r"^sul(?:ph|f)(?=[aoui])"), "sulf"),
    (re.compile(r"^grey"), "gray"),
    (re.compile(r"^mou(?=l(?:d|t|der)(?:s|ed|ing|y|er|ers)?$)"), "mo"),
    (re.compile(r"^smou(?=lder)"), "smo"),
    (re.compile(r"^scep(?=ti)"), "skep"),
    (re.compile(r"^(program)me(?=s?$)"), r"\1"),
    (re.compile(r"^plough"), "plow"),
    (re.compile(r"^draught"), "draft"),
    (re.compile(r"^ty(?=res?$)"), "ti"),
    (re.compile(r"^arte(?=fact)"), "arti"),
    (re.compile(r"^aluminium"), "aluminum"),
    (re.compile(r"^enquir"), "inquir"),
    (re.compile(r"^(jewel)l(?=er)"), r"\1"),
    (re.compile(r"^jewelry$"), "jewelery"),
    (re.compile(r"^wool(?=lens?$)"), "woo"),
    (re.compile(r"^moustach"), "mustach"),
    (re.compile(r"^(yog)h(?=urt)"), r"\1"),
    (re.compile(r"^omelette"), "omelet"),
    (re.compile(r"^(among|amid|whil)st$"), lambda found: "while" if found[1] == "whil" else found[1]),
    (re.compile(r"^cosy|^cosi(?=e|ly|ness)"), lambda found: f"coz{found[0][3:]}"),
    (re.compile(r"^cypher"), "cipher"),
    (re.compile(r"^gips(?=y|ies)"), "gyps"),
    (re.compile(r"^tsar"), "czar"),
    (re.compile(r"^(whisk)ey(?=s?$)"), r"\1y"),
    (re.compile(r"^(dis)c(?=s?$)"), r"\1k"),
    (re.compile(r"^kerb"), "curb"),
    (re.compile(r"^pyjama"), "pajama"),
    (re.compile(r"^gaol"), "jail"),
    (re.compile(r"^doughnut"), "donut"),
    (re.compile(r"^maths$"), "math"),
    (re.compile(r"^furore$"), "furor"),
    (re.compile(r"^carburett"), "carburet"),
    (re.compile(r"^storeys?$"), lambda found: "stories" if found[0].endswith("s") else "story"),
    (re.compile(r"^(special)ity$"), r"\1ty"),
    (re.compile(r"^orientat(?=e|ed|es|ing$)"), "orient"),
)
_DIGRAPH = re.compile(r"[ao]e(?=[a-z])")
MIN_CHARS = 4


@lru_cache(maxsize=1 << 14)
def spelling_key(word: str) -> str:
    """The key of a word in lower case; a word of one spelling is its own key."""
    if len(word) < MIN_CHARS or not word.isascii():
        return word
    key = (word if word.startswith("re-") else word.replace("-", "")).replace("manoeu", "maneu")
    for pattern, spelt in _ENDINGS:
        key = pattern.sub(spelt, key)
    return _DIGRAPH.sub("e", key)
