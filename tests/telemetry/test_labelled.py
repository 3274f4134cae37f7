"""How well personal data is recognised, on a labelled set: what is found of what is there, and what is found wrongly.

In a text, what is to be hidden stands between ⟦type: and ⟧. Names, numbers and addresses are made up or reserved
for examples (RFC 2606, RFC 5737, RFC 3849; cards and IBANs of the vendors' documentation).
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import NamedTuple

from ragstone.telemetry.redaction import Redactor

LABEL = re.compile(r"⟦(\w+):([^⟧]*)⟧")
TEXTS = {
    "en": [
        "Write to ⟦email:mary.o'neill+news@example.co.uk⟧ or call ⟦phone:(555) 010-4477⟧ before 5 pm.",
        "My mobile is ⟦phone:+44 7700 900123⟧, at work ⟦phone:020 7946 0958⟧; I live at 221 Baker Street.",
        "Card ⟦card:4242 4242 4242 4242⟧, expires 12/27, order 2026-000123.",
        "Amex ⟦card:3782-822463-10005⟧ and Maestro ⟦card:6759649826438453⟧ were declined.",
        "Pay to ⟦iban:GB29 NWBK 6016 1331 9268 19⟧ by 2026-12-01.",
        "Login from ⟦ip:198.51.100.23⟧ and ⟦ip:2001:db8:85a3::8a2e:370:7334⟧ at 11:17:06.",
        "Call 1-⟦phone:212-555-0187⟧ toll-free? No: phone ⟦phone:5550187⟧.",
        "Version 2.14.0.1 of the driver needs 4096 MB; see pages 100 200 300.",
        "The population was 8 336 817 in 2020, and 1.4142135623 is a root.",
    ],
    "de": [
        "Erreichbar unter ⟦phone:030/90182736⟧ oder ⟦phone:0151 23456789⟧, E-Mail ⟦email:jürgen.groß@beispiel.de⟧.",
        "Meine Nummer: ⟦phone:+49 (0)89 1234567⟧, Fax ⟦phone:089 1234568⟧.",
        "IBAN: ⟦iban:DE89370400440532013000⟧, BIC COBADEFFXXX, Betrag 1.234,56 EUR.",
        "Bitte auf ⟦iban:AT61 1904 3002 3457 3201⟧ überweisen, Kundennummer 4711.",
        "Kreditkarte ⟦card:5555-5555-5555-4444⟧, gültig bis 09/28.",
        "Anfrage von ⟦ip:192.0.2.146⟧ am 21.11.2026 um 11:17 Uhr, Aktenzeichen 12 O 345/26.",
        "Geboren am 01.02.1980, PLZ 10115, Hausnummer 12-14, Rechnung 2026/11/0042.",
        "Rückruf unter ⟦phone:0049 221 1234567⟧ erbeten.",
    ],
    "fr": [
        "Téléphone : ⟦phone:01 23 45 67 89⟧ ou ⟦phone:06.12.34.56.78⟧, courriel ⟦email:hélène.dupré@exemple.fr⟧.",
        "Depuis l'étranger : ⟦phone:+33 6 12 34 56 78⟧.",
        "IBAN ⟦iban:FR14 2004 1010 0505 0001 3M02 606⟧, montant 1 234,50 €.",
        "Carte ⟦card:4970100000000154⟧, connexion depuis ⟦ip:203.0.113.9⟧.",
        "Le 14/07/2026 à 18 h 30, salle 12, 75001 Paris, page 1 789.",
    ],
    "hi": [
        "फ़ोन ⟦phone:९८७६५ ४३२१०⟧ पर कॉल करें या ⟦email:राम@उदाहरण.भारत⟧ पर लिखें।",
        "मोबाइल ⟦phone:9876543210⟧, दूसरा ⟦phone:+91 98765 43210⟧।",
        "कार्ड ⟦card:४१११ १११११ १११ ११११⟧ नहीं, कार्ड ⟦card:४१११ ११११ ११११ ११११⟧ हाँ।",
        "पता ⟦ip:१९८.५१.१००.७⟧, तारीख २१-११-२०२६, समय ११:१७।",
        "जनसंख्या १,४२८,६२७,६६३ थी, पृष्ठ १२३ देखें।",
    ],
}


class Found(NamedTuple):
    """Of one type: how many there are, how many of them are hidden whole, and how many others are hidden."""

    there: int
    found: int
    wrong: int


def spans_hidden(text: str, masked: str) -> list[tuple[str, int, int]]:
    """Where in `text` each `[type]` of `masked` stands."""
    parts = re.split(r"\[(\w+)\]", masked)
    match = re.fullmatch("(.+?)".join(map(re.escape, parts[::2])), text)
    assert match, "what is not hidden stays as it is"
    return [(name, *match.span(number)) for number, name in enumerate(parts[1::2], 1)]


def measured() -> dict[str, Found]:
    there: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    redactor = Redactor()
    for labelled in (each for texts in TEXTS.values() for each in texts):
        text, expected = "", []
        for part in re.split(r"(⟦[^⟧]*⟧)", labelled):
            label = LABEL.fullmatch(part)
            if label:
                expected.append((label[1], len(text), len(text) + len(label[2])))
            text += label[2] if label else part
        hidden = spans_hidden(text, redactor.masked(text))
        for name, start, end in expected:
            there[name] += 1
            found[name] += any(name == kind and begin <= start and end <= stop for kind, begin, stop in hidden)
        for kind, begin, stop in hidden:
            wrong[kind] += not any(start < stop and begin < end for _, start, end in expected)
    return {name: Found(there[name], found[name], wrong[name]) for name in sorted(there | wrong)}


def test_what_is_recognised_of_the_labelled_set_is_known_exactly(capsys):
    result = measured()
    with capsys.disabled():
        for name, (there, found, wrong) in result.items():
            sys.stdout.write(f"\n{name}: recall {found}/{there}, precision {found}/{found + wrong}")
    assert result == {
        "card": Found(7, 6, 0),  # one has unusual groups
        "email": Found(4, 4, 0),
        "iban": Found(4, 4, 0),
        "ip": Found(5, 5, 0),
        "phone": Found(16, 16, 0),
    }
