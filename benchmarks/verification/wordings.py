"""Built kinds of other wordings: the same unit, spelling, abbreviation, synonym or possessive, and their false kin.

The rules of `ragstone.generation.wording` and the thresholds were fitted with them. The lists here are not the lists of
the rules: a pair that only one of them has shows what the check does without an entry.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.verification.built import (
    FALSE_KINDS,
    MAX_WORDS,
    MIN_WORDS,
    Kind,
    Spot,
    by_table,
    plain_sentences,
    pool_of,
)
from benchmarks.verification.cases import Case, Source

_UNITS = (
    "km/kilometres kilometers, cm/centimetres, mm/millimetres millimeters, kg/kilograms, mg/milligrams, "
    "ml/millilitres, %/percent, mph/miles per hour, km\u00b2/square kilometres, GB/gigabytes, MB/megabytes, "
    "kB/kilobytes, "
    "ms/milliseconds, lb/pounds, oz/ounces, ft/feet, kW/kilowatts, MW/megawatts, GHz/gigahertz, "
    "\u00b0C/degrees Celsius, km/h/kilometres per hour, min/minutes, ha/hectares, m/metres meters, "
    "g/grams, h/hours, s/seconds, V/volts, mi/miles, sq mi/square miles, \u00b5g/micrograms, nm/nanometers, "
    "mM/millimolar, kb/kilobases"
)
UNITS = {symbol: names for symbol, _, names in (one.strip().rpartition("/") for one in _UNITS.split(", "))}
_SYMBOLS = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_BY_NAME = {name: symbol for symbol, names in UNITS.items() for name in [names, *names.split(" ")] if " " not in name}
_BY_NAME |= {names: symbol for symbol, names in UNITS.items() if " " in names and names.split()[0] not in _BY_NAME}
_NAMES = "|".join(sorted(map(re.escape, _BY_NAME), key=len, reverse=True))
_WITH_SYMBOL = re.compile(rf"(?<=\d)(?P<gap> ?)(?P<unit>{_SYMBOLS})(?![\w/\u00b2^])")
_WITH_NAME = re.compile(rf"(?<=\d) (?P<unit>{_NAMES})\b")
_MONEY = re.compile(r"(?:US)?(?P<sign>[$\u20ac])(?P<figure>\d[\d,.]*\d|\d)(?P<scale> (?:million|billion|thousand))?")
_CURRENCIES = {"$": ("dollars", "USD", "US dollars"), "\u20ac": ("euros", "EUR")}


def unit_in_other_form(spot: Spot) -> str | None:
    """A unit's symbol written out, or its name as a symbol."""

    def written(found: re.Match[str]) -> str:
        names = UNITS[found["unit"]]
        chosen = names if names.split()[-1] not in _BY_NAME else spot.random.choice(names.split())
        return f" {chosen}"

    return spot.swapped(_WITH_SYMBOL, written) or spot.swapped(_WITH_NAME, lambda found: f" {_BY_NAME[found['unit']]}")


def currency_in_other_form(spot: Spot) -> str | None:
    """A sign of money written out."""

    def written(found: re.Match[str]) -> str:
        return f"{found['figure']}{found['scale'] or ''} {spot.random.choice(_CURRENCIES[found['sign']])}"

    return spot.swapped(_MONEY, written)


def unit_other(spot: Spot) -> str | None:
    """The same figure with another unit, written out."""
    names = [name for names in UNITS.values() for name in names.split() if name in _BY_NAME]

    def another(found: re.Match[str]) -> str | None:
        unit = _BY_NAME.get(found["unit"], found["unit"])
        fit = [name for name in names if _BY_NAME[name] != unit]
        return f" {spot.random.choice(fit)}"

    return spot.swapped(_WITH_SYMBOL, another) or spot.swapped(_WITH_NAME, another)


def currency_other(spot: Spot) -> str | None:
    """The same sum in another currency."""
    others = ["pounds", "yen", "euros", "rupees", "francs"]
    return spot.swapped(
        _MONEY,
        lambda found: (
            f"{found['figure']}{found['scale'] or ''} "
            f"{spot.random.choice([one for one in others if one not in _CURRENCIES[found['sign']]])}"
        ),
    )


spelling = by_table(
    "color/colour, colors/colours, behavior/behaviour, labor/labour, favorite/favourite, neighbors/neighbours, "
    "neighboring/neighbouring, honor/honour, harbor/harbour, tumor/tumour, tumors/tumours, center/centre, "
    "centers/centres, theater/theatre, fiber/fibre, organize/organise, organized/organised, "
    "organization/organisation, "
    "organizations/organisations, recognize/recognise, recognized/recognised, realize/realise, realized/realised, "
    "characterized/characterised, emphasized/emphasised, optimize/optimise, optimized/optimised, "
    "initialize/initialise, customize/customise, summarize/summarise, utilize/utilise, utilized/utilised, "
    "specialized/specialised, industrialized/industrialised, colonization/colonisation, "
    "civilization/civilisation, randomized/randomised, "
    "generalized/generalised, synchronize/synchronise, serialize/serialise, serialized/serialised, "
    "minimize/minimise, "
    "maximize/maximise, analyze/analyse, analyzed/analysed, catalyzed/catalysed, paralyzed/paralysed, "
    "defense/defence, "
    "offense/offence, license/licence, catalog/catalogue, dialog/dialogue, analog/analogue, program/programme, "
    "programs/programmes, traveled/travelled, traveling/travelling, canceled/cancelled, labeled/labelled, "
    "modeling/modelling, modeled/modelled, signaling/signalling, fulfill/fulfil, enrollment/enrolment, gray/grey, "
    "aluminum/aluminium, artifact/artefact, artifacts/artefacts, anemia/anaemia, pediatric/paediatric, "
    "estrogen/oestrogen, hemoglobin/haemoglobin, leukemia/leukaemia, fetal/foetal, edema/oedema, "
    "skeptical/sceptical, "
    "plow/plough, draft/draught, tire/tyre, pajamas/pyjamas, maneuver/manoeuvre, archeology/archaeology, "
    "encyclopedia/encyclopaedia, jewelry/jewellery, toward/towards, among/amongst, while/whilst, learned/learnt, "
    "judgment/judgement, aging/ageing, acknowledgment/acknowledgement, marvelous/marvellous, skillful/skilful"
)
lookalike = by_table(
    "colour/collar, center/censer, meter/mitre, metre/mitre, affect/effect, effects/affects, principal/principle, "
    "advice/advise, device/devise, prise/prize, personal/personnel, moral/morale, later/latter, desert/dessert, "
    "dose/doze, raise/raze, raised/razed, adopt/adapt, adopted/adapted, except/accept, ensure/insure, site/cite, "
    "source/sauce, course/coarse, council/counsel, stationary/stationery, historic/historical, economic/economical, "
    "current/currant, labor/lab, favor/fever, honor/horror, labour/lobar, fiber/fibber, theater/treater, "
    "minister/minster, organist/organism, organization/organism, realist/realism, polite/polish, form/farm, "
    "formed/farmed, ration/ratio, quite/quiet, through/thorough, causal/casual, contend/content, exits/exists, "
    "tried/tired, bored/board, diary/dairy, county/country, marital/martial, angel/angle, trail/trial, "
    "conservation/conversation, complement/compliment, elicit/illicit, precede/proceed, imply/comply, inter/enter, "
    "tumor/tutor, program/pogrom, defense/defiance, license/lichen, analyze/anodize, serialize/sterilize, "
    "initialize/italicize, neutralize/naturalize, immunized/minimized, colonized/canonized, civilization/civilian"
)
common_abbreviation = by_table(
    "approximately/approx., for example/e.g., that is/i.e., and so on/etc., versus/vs., Doctor/Dr., Professor/Prof., "
    "General/Gen., President/Pres., Senator/Sen., Governor/Gov., Saint/St., Mount/Mt., Company/Co., "
    "Incorporated/Inc., Corporation/Corp., Limited/Ltd., Department/Dept., University/Univ., government/govt., "
    "maximum/max., minimum/min., average/avg., January/Jan., February/Feb., August/Aug., September/Sept., "
    "October/Oct., November/Nov., December/Dec., configuration/config, application/app, applications/apps, "
    "repository/repo, documentation/docs, parameters/params, arguments/args, environment/env, directory/dir, "
    "information/info, function/fn, television/TV, laboratory/lab, database/DB, telephone/phone, photograph/photo, "
    "Junior/Jr., Street/St., Avenue/Ave., number/no., volume/vol., miles per hour/mph, deoxyribonucleic acid/DNA, "
    "World War II/WWII, World War I/WWI, operating system/OS, Soviet Union/USSR, Los Angeles/LA"
)
synonym_more = by_table(
    "big/huge, built/erected, allowed/let, city/town, happened/occurred, occurs/happens, started/commenced, "
    "ended/concluded, said/stated, chose/selected, choose/pick, chosen/selected, tells/informs, gave/provided, "
    "gives/provides, helped/aided, helps/aids, help/aid, kept/retained, keep/retain, whole/complete, ill/sick, "
    "goods/merchandise, job/post, money/funds, riches/wealth, killed/slain, bought/acquired, area/region, "
    "areas/regions, changed/altered, change/alter, changes/alters, fast/quick, way/manner, ways/manners, "
    "part/portion, "
    "parts/portions, build/construct, builds/constructs, error/mistake, errors/mistakes, happy/glad, rich/wealthy, "
    "need/require, shows/displays, show/display, sent/dispatched, seen/viewed, look/glance, aim/goal, aims/goals, "
    "answer/reply, gather/collect, gathered/collected, fixed/repaired, fix/repair, freedom/liberty, ship/vessel, "
    "ships/vessels, street/road, war/armed conflict, law/statute, laws/statutes, teacher/instructor, "
    "power/might, price/cost, rule/regulation, rules/regulations, stopped/halted, stop/halt, tried/attempted, "
    "vital/essential, wealthy/affluent, wanted/desired, want/wish, old/aged, rarely/seldom, roughly/approximately, "
    "enough/sufficient, various/diverse, main/chief, suddenly/abruptly, mostly/largely, quickly/swiftly, "
    "remain/stay, remained/stayed, lack/absence, amount/quantity, amounts/quantities, disease/illness, "
    "diseases/illnesses, attacked/assaulted, fear/dread, won/gained, leader/head, leaders/heads, "
    "permits/lets, obtained/acquired, carried out/performed, performed/conducted, method/procedure, "
    "examined/inspected, returned/came back, contains/includes, contain/include, value/worth, defined/specified, "
    "define/specify, automatically/by itself, directly/straight, usually/normally, common/widespread",
    both=False,
)
not_a_synonym = by_table(
    "built/repaired, city/village, happened/ended, started/paused, said/denied, chose/dismissed, gave/withdrew, "
    "gives/withholds, helped/hindered, helps/hinders, kept/discarded, keep/discard, ill/healthy, goods/services, "
    "job/hobby, money/debts, killed/wounded, bought/rented, area/border, areas/borders, changed/kept, change/keep, "
    "changes/keeps, part/whole, parts/wholes, build/paint, builds/paints, error/warning, errors/warnings, "
    "need/dislike, shows/hides, show/hide, sent/refused, seen/ignored, aim/outcome, aims/outcomes, answer/question, "
    "gather/scatter, gathered/scattered, freedom/slavery, ship/aircraft, ships/aircraft, street/canal, war/election, "
    "law/custom, laws/customs, teacher/painter, power/weakness, price/quality, rule/exception, rules/exceptions, "
    "stopped/continued, stop/continue, vital/useless, wanted/feared, rarely/constantly, enough/insufficient, "
    "main/second, suddenly/gradually, quickly/slowly, remain/vanish, remained/vanished, amount/colour, "
    "disease/vaccine, diseases/vaccines, attacked/defended, fear/hope, won/forfeited, leader/follower, "
    "leaders/followers, obtained/mislaid, performed/cancelled, method/purpose, examined/overlooked, "
    "returned/departed, contains/lacks, contain/lack, value/name, defined/removed, define/remove, "
    "automatically/manually, directly/later, usually/seldom, common/unusual, father/uncle, river/lake, king/bishop, "
    "wheat/maize, gold/tin, mice/rats, protein/lipid, cells/tissues, patients/nurses, church/mosque, army/navy, "
    "function/macro, file/socket, string/integer, server/client, thread/process, request/response, "
    "type/value, variable/constant, compiler/linker, list/tuple, school/hospital, century/year, "
    "book/film, company/charity, players/referees, music/dance, north/west, coal/oil, horse/camel, winter/spring",
    both=False,
)

_DECLARED = re.compile(r"(?P<long>(?:[A-Za-z][\w-]+ ){1,7})\((?P<short>[A-Z][A-Za-z]{0,2}[A-Z]{1,4}s?)\)")
_POSSESSIVE = re.compile(
    r"\b(?P<the>[Tt]he )?(?P<who>[A-Z]?[a-z]{3,}(?: [A-Z][a-z]+)?)['\u2019]s (?P<what>[a-z]{4,})\b"
)
_OF = re.compile(
    r"\b(?P<the>[Tt]he )(?P<what>[a-z]{4,}) of (?P<who>(?:the )?(?:[A-Z][a-z]+(?: [A-Z][a-z]+)?|[a-z]{4,}))\b"
)
_NOT_OWNED = "same best most first last other some many each city state university republic kingdom let that there"
_NO_NOUN = frozenset(_NOT_OWNED.split())


def possessive_turned(spot: Spot) -> str | None:
    """Turned: "the crane of the harbour" as "the harbour's crane", or the other way round."""

    def of(found: re.Match[str]) -> str:
        return f"the {found['what']} of {(found['the'] or '').lower()}{found['who']}"

    def own(found: re.Match[str]) -> str | None:
        return None if found["what"] in _NO_NOUN or found["who"].endswith("s") else f"{found['who']}'s {found['what']}"

    return spot.swapped(_POSSESSIVE, of) or spot.swapped(_OF, own)


def possessive_reversed(spot: Spot) -> str | None:
    """Owner and thing change places."""
    made = spot.swapped(_POSSESSIVE, lambda found: f"the {found['who']} of {found['the'] or 'the '}{found['what']}")
    return made or spot.swapped(
        _OF,
        lambda found: (
            f"the {found['what']}'s {found['who'].removeprefix('the ')}" if found["what"] not in _NO_NOUN else None
        ),
    )


def declared_in(text: str) -> dict[str, str]:
    """Short form to long form, where a text declares them: "World Health Organization (WHO)"."""
    found = {}
    for match in _DECLARED.finditer(text):
        letters = match["short"].removesuffix("s").casefold()
        words = match["long"].split()[-len(letters) :]
        if len(letters) > 1 and "".join(word[0] for word in words).casefold() == letters:
            found[match["short"]] = " ".join(words)
    return found


def _abbreviated(spot: Spot, known: Mapping[str, str], *, declared: bool) -> str | None:
    """A short form written out, or a long form shortened; `declared`: the passage holds both forms."""
    text = " ".join(spot.around)
    for short, long in known.items():
        if (short in text and long in text) is not declared:
            continue
        if re.search(rf"\b{re.escape(long)}\b(?! \()", spot.text):
            return re.sub(rf"\b{re.escape(long)}\b", short, spot.text, count=1)
        if re.search(rf"(?<!\()\b{re.escape(short)}\b", spot.text):
            return re.sub(rf"(?<!\()\b{re.escape(short)}\b", long, spot.text, count=1)
    return None


def _misabbreviated(spot: Spot, known: Mapping[str, str]) -> str | None:
    """A short or long form exchanged for one of another thing."""
    for short, long in known.items():
        for form in (long, short):
            if re.search(rf"\b{re.escape(form)}\b", spot.text):
                others = [(one, name) for one, name in known.items() if one not in short and name not in long]
                if others:
                    other = spot.random.choice(others)[0 if form == long else 1]
                    return re.sub(rf"\b{re.escape(form)}\b", other, spot.text, count=1)
    return None


TRUE_KINDS: dict[str, Kind] = {
    "unit_in_other_form": unit_in_other_form,
    "currency_in_other_form": currency_in_other_form,
    "spelling": spelling,
    "common_abbreviation": common_abbreviation,
    "synonym_more": synonym_more,
    "possessive_turned": possessive_turned,
}
FALSE_OF_WORDS: dict[str, Kind] = {
    "unit_other": unit_other,
    "currency_other": currency_other,
    "lookalike": lookalike,
    "not_a_synonym": not_a_synonym,
    "possessive_reversed": possessive_reversed,
}


def pairs(passages: Sequence[Source], chance: random.Random) -> Iterator[Case]:
    """Cases of every kind that fits, for each sentence of each passage; see `benchmarks.verification.cases`."""
    read = [(source, plain_sentences(source.text)) for source in passages if source.language == "en"]
    pool = pool_of([one for _, found in read for one in found])
    known = {short: long for source, _ in read for short, long in declared_in(source.text).items()}
    for source, found in read:
        for place, text in enumerate(found):
            if MIN_WORDS <= len(text.split()) <= MAX_WORDS:
                yield from of_spot(Spot(text, place, found, source.title, pool, chance), source, known)


def of_spot(spot: Spot, source: Source, known: Mapping[str, str]) -> Iterator[Case]:
    """The cases of one sentence; each rewrite is also edited by a random kind of `built`, which makes it false."""
    made = {name: kind(spot) for name, kind in TRUE_KINDS.items()}
    made["abbreviation_declared"] = _abbreviated(spot, known, declared=True)
    made["abbreviation_undeclared"] = _abbreviated(spot, known, declared=False)
    for name, text in made.items():
        if text and text != spot.text:
            yield Case(name, True, text, source.text, source.title, source.language)
            again = Spot(text, spot.place, spot.around, spot.title, spot.pool, spot.random)
            edit = spot.random.choice(list(FALSE_KINDS))
            false = FALSE_KINDS[edit](again)
            if false and false not in spot.around:
                yield Case(f"{name}, edited", False, false, source.text, source.title, source.language)
    false_made = {name: kind(spot) for name, kind in FALSE_OF_WORDS.items()}
    false_made["abbreviation_of_another"] = _misabbreviated(spot, known)
    for name, text in false_made.items():
        if text and text not in spot.around:
            yield Case(name, False, text, source.text, source.title, source.language)
