"""Common English synonyms: whether two words mean the same in most of their uses, and have the same ending.

The pairs are chosen out of WordNet by `tools/list_synonyms.py`; the file has its licence.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

from ragstone.embedding.sparse import terms

_IRREGULAR = """
    begin:began,begun buy:bought build:built bring:brought break:broke,broken come:came catch:caught
    choose:chose,chosen draw:drew,drawn drive:drove,driven eat:ate,eaten fall:fell,fallen feel:felt fight:fought
    find:found flee:fled fly:flew,flown forbid:forbade,forbidden forget:forgot,forgotten give:gave,given
    go:went,gone get:got,gotten grow:grew,grown hear:heard hold:held hide:hid,hidden keep:kept know:knew,known
    lay:laid lead:led leave:left lend:lent lose:lost make:made mean:meant meet:met pay:paid run:ran
    rise:rose,risen say:said sing:sang,sung sink:sank,sunk see:saw,seen send:sent shake:shook,shaken shine:shone
    shoot:shot show:shown sleep:slept slide:slid sell:sold seek:sought spend:spent speak:spoke,spoken
    steal:stole,stolen stand:stood strike:struck swim:swam,swum teach:taught think:thought throw:threw,thrown
    tell:told take:took,taken tear:tore,torn understand:understood win:won wear:wore,worn write:wrote,written
    withdraw:withdrew,withdrawn
"""
_PAST = {
    form: lemma
    for lemma, _, forms in (entry.partition(":") for entry in _IRREGULAR.split())
    for form in forms.split(",")
}
_PLURALS = {"children": "child", "men": "man", "women": "woman", "people": "person", "feet": "foot", "mice": "mouse"}
_ENDINGS = ("ing", "ed", "ly")


def are_synonyms(left: str, right: str) -> bool:
    """Whether two words in lower case mean the same, in the same form."""
    (stem, ending), (other, other_ending) = _parsed(left), _parsed(right)
    return ending == other_ending and other in _pairs().get(stem, ())


@lru_cache(maxsize=1 << 14)
def _parsed(word: str) -> tuple[str, str]:
    """Stem and ending; of irregular forms, those that a regular one would have."""
    if lemma := _PAST.get(word):
        return _stem(lemma), "ed"
    if lemma := _PLURALS.get(word):
        return _stem(lemma), "s"
    ending = next((one for one in _ENDINGS if word.endswith(one)), "")
    if not ending and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        ending = "s"
    return _stem(word), ending


def _stem(word: str) -> str:
    return next(iter(terms(word)), word)


@cache
def _pairs() -> dict[str, frozenset[str]]:
    """Stem to the stems of its synonyms."""
    found: dict[str, set[str]] = {}
    lines = files("ragstone.generation").joinpath("synonyms.txt").read_text(encoding="utf-8").splitlines()
    for left, right in (map(_stem, line.split()) for line in lines if not line.startswith("#")):
        found.setdefault(left, set()).add(right)
        found.setdefault(right, set()).add(left)
    return {stem: frozenset(others) for stem, others in found.items()}
