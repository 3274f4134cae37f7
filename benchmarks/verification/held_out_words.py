"""Word lists of the held-out kinds; who builds the check or trains its model does not read this file.

Each list was written for this file alone. Pairs are exchanged in both directions; words of a group stand for each
other as siblings do.
"""

from __future__ import annotations


def _both(text: str) -> dict[str, str]:
    """`left right, left right` as a table in both directions; an underscore stands for a space."""
    pairs = [entry.split() for entry in text.split(",")]
    table: dict[str, str] = {}
    for left, right in ((one.replace("_", " "), other.replace("_", " ")) for one, other in pairs):
        table.setdefault(left, right)
        table.setdefault(right, left)
    return table


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(group.split()) for group in text.split(","))


ANTONYMS = _both(
    "expensive cheap, rural urban, domestic foreign, permanent temporary, easier harder, similar dissimilar, same "
    "opposite, voluntary compulsory, optional mandatory, synchronous asynchronous, static dynamic, dependent "
    "independent, efficient wasteful, explicit implicit, encouraged discouraged, grew shrank, succeeded "
    "collapsed, approved vetoed, united divided, strengthened weakened, accelerated slowed, enhanced impaired, "
    "enhances impairs, elevated lowered, effective useless, acute chronic, benign malignant, proximal distal, "
    "anterior posterior, stimulates suppresses, stimulated suppressed, beneficial harmful, added removed, adds "
    "removes, add remove, thick thin, dry wet, fast slow, faster slower, quickly slowly, hard soft, loose tight, "
    "bright dark, full empty, crowded deserted, peaceful violent, automatically manually, directly indirectly, "
    "single multiple, together separately, popular unpopular, famous obscure, essential superfluous, significant "
    "negligible, significantly marginally, important unimportant, available unavailable, necessary unnecessary, "
    "sufficient insufficient, correct wrong, useful useless, convenient awkward, reliable unreliable, concrete "
    "abstract, specific generic, local global, visible hidden, dense sparse, natural artificial, lengthy brief, "
    "heavily lightly, wealthy impoverished, sensitive resistant, attached detached, inherits discards, validates "
    "ignores, accepts refuses, returns discards, protects endangers, protected endangered, promotes hinders, "
    "activates silences, induces blocks, induced blocked, expands contracts, hired dismissed, praised criticised, "
    "praised criticized, obeyed defied, parallel sequential, homogeneous heterogeneous, healthy sick, mature "
    "immature, literate illiterate, conservative progressive, outdoor indoor, upstream downstream, odd even, raw "
    "cooked, civilian military, scarce plentiful, fertile barren, transparent opaque, portable fixed, thrives "
    "withers, rigid flexible, sharp blunt, fresh stale, thin obese, proud ashamed, eager reluctant, clever "
    "foolish, brave cowardly, clean polluted, smooth rough, convex concave, dominant recessive, exothermic "
    "endothermic, soluble insoluble, saturated unsaturated, aerobic anaerobic, stable unstable, continuous "
    "intermittent, uniform uneven, gradual abrupt, gradually abruptly, compiled interpreted, signed unsigned, "
    "blocking non-blocking, persistent volatile, encrypted plain, strict lenient, verbose terse, nested flat, "
    "ascending descending, prevalent absent, widespread isolated, abundant lacking, accurate misleading, tolerant "
    "intolerant, friendly hostile, vertical horizontal, adjacent distant, nearby remote, reversible irreversible, "
    "primitive sophisticated, novel outdated, robust fragile, critical trivial, crucial irrelevant, rapid "
    "sluggish, rapidly sluggishly, complete partial, completely hardly, entirely barely, fully scarcely, "
    "consistent inconsistent, favorable adverse, normal abnormal, active dormant, severe slight, elderly youthful"
)
"""None of these pairs stands in a list of the check or of the built kinds."""

_PAST = (
    "became:become began:begin took:take gave:give went:go wrote:write chose:choose saw:see grew:grow drew:draw "
    "rose:rise fell:fall spoke:speak broke:break drove:drive threw:throw ran:run came:come did:do led:lead met:meet "
    "kept:keep sent:send brought:bring bought:buy taught:teach caught:catch fought:fight sought:seek showed:show "
    "proved:prove received:receive appeared:appear remained:remain moved:move continued:continue joined:join "
    "reached:reach returned:return served:serve signed:sign increased:increase decreased:decrease reduced:reduce "
    "improved:improve identified:identify demonstrated:demonstrate occurred:occur inhibited:inhibit prevented:prevent "
    "induced:induce revealed:reveal provided:provide produced:produce established:establish introduced:introduce "
    "published:publish won:win lost:lose found:find held:hold made:make"
)
PAST_TO_BASE = dict(entry.split(":") for entry in _PAST.split())
"""Past tenses to the base form; used only where no auxiliary stands before them."""

IMPLICIT_NEGATION = {
    "has a": "lacks a",
    "has an": "lacks an",
    "have a": "lack a",
    "had a": "lacked a",
    "had an": "lacked an",
    "contains": "is devoid of",
    "contain": "are devoid of",
    "contained": "was devoid of",
    "provides": "fails to provide",
    "provide": "fail to provide",
    "allows": "fails to allow",
    "allow": "fail to allow",
    "ensures": "fails to ensure",
    "supports": "refuses to support",
    "is able to": "is incapable of trying to",
    "are able to": "are incapable of trying to",
    "was able to": "was too weak to",
    "were able to": "were too few to",
    "includes": "leaves out",
    "include": "leave out",
    "implements": "fails to implement",
    "handles": "fails to handle",
    "agreed to": "declined to",
    "accepted": "turned down",
    "confirmed": "denied",
    "admitted": "denied",
    "knows": "is ignorant of",
    "confirms": "refutes",
    "plays a": "is free of any",
    "will be": "will stop being",
    "uses": "avoids",
    "used by": "avoided by",
    "relies on": "dispenses with",
    "depends on": "dispenses with",
    "requires": "dispenses with",
    "need to": "are free to avoid having to",
    "you can": "you are forbidden to",
    "we can": "we are forbidden to",
}

_NUMBERS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
NUMBER_WORDS = tuple(_NUMBERS.split())
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
ORDINALS = tuple(_ORDINALS.split())
TIMES = _groups(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday, summer winter autumn, morning evening afternoon, "
    "dawn dusk noon midnight, yesterday tomorrow, weekday weekend, breakfast dinner lunch, "
    "north-west south-east north-east south-west, northwest southeast northeast southwest"
)
SIBLINGS = _groups(
    "red blue green yellow purple, black white, gold silver copper bronze tin, iron zinc lead aluminium nickel, "
    "oxygen nitrogen hydrogen helium carbon, wheat rice barley maize oats, wine beer tea coffee milk, "
    "piano violin flute guitar trumpet, church castle school hospital prison, bridge tunnel canal dam, "
    "horse dog cat sheep cow, river lake mountain desert, physics chemistry biology mathematics geology, "
    "lung liver kidney heart brain, mice humans dogs monkeys, novel poem play song, "
    "football basketball baseball cricket tennis, Catholic Protestant Orthodox Muslim Jewish, "
    "French German Spanish Italian Russian Chinese Japanese, doctor lawyer teacher engineer priest, "
    "king bishop general judge, struct enum trait module macro, integer string boolean float, "
    "vector tuple slice hashmap, loop match closure, thread channel mutex, stack heap, "
    "client server proxy, header cookie body query, class function decorator, request response, "
    "JSON XML YAML CSV, Windows Linux macOS, protein lipid enzyme antibody, bacteria viruses fungi parasites, "
    "gene receptor promoter plasmid, breast prostate colorectal pancreatic ovarian, "
    "diabetes asthma hypertension obesity, "
    "insulin leptin cortisol glucagon, steel concrete brick timber, coal oil gas peat, "
    "railway motorway airport harbour, "
    "album film book series, bank insurer brewery factory, senate cabinet court, blood urine saliva plasma, "
    "parameter variable constant, database cache queue, username password token, username email, "
    "glucose fructose lactose, cats birds, infants adolescents adults, actress director producer screenwriter"
)
RELATIONS = _groups(
    "son brother father uncle grandfather, daughter sister mother aunt grandmother, wife mistress niece, "
    "husband nephew cousin, teacher pupil, friend rival enemy ally, founder successor predecessor, owner tenant, "
    "author editor translator, chairman secretary treasurer, captain coach, employee customer supplier, "
    "parent child, parents children, founders heirs, students teachers, leader deputy, students graduates"
)
TIME_UNITS = _groups(
    "seconds minutes hours days weeks months years decades, hour day week month year decade, "
    "daily weekly monthly yearly, hourly annually, annual monthly"
)
FREQUENCIES = {
    "always": "seldom",
    "usually": "seldom",
    "often": "hardly ever",
    "frequently": "hardly ever",
    "sometimes": "at all times",
    "occasionally": "at all times",
    "rarely": "very often",
    "commonly": "seldom",
    "typically": "exceptionally",
    "generally": "exceptionally",
    "normally": "exceptionally",
    "mostly": "now and then",
    "every": "every second",
    "never": "occasionally",
}
HEDGES = {
    "may": "will always",
    "might": "will always",
    "suggest that": "prove that",
    "suggests that": "proves that",
    "suggested that": "proved that",
    "appears to": "is known to",
    "appear to": "are known to",
    "appeared to": "was proven to",
    "seems to": "is known to",
    "seem to": "are known to",
    "is thought to": "is proven to",
    "are thought to": "are proven to",
    "is believed to": "is proven to",
    "was believed to": "was proven to",
    "probably": "beyond doubt",
    "possibly": "certainly",
    "perhaps": "certainly",
    "likely": "beyond doubt",
    "could be": "must be",
    "tend to": "are certain to",
    "tends to": "is certain to",
    "claimed that": "proved that",
    "roughly": "precisely",
    "approximately": "exactly",
    "proposed": "established",
}
BOUNDS = {
    "at least": "no more than",
    "at most": "a minimum of",
    "up to": "no fewer than",
    "more than": "at most",
    "fewer than": "upwards of",
    "less than": "upwards of",
    "over half": "barely a fifth",
    "nearly": "well over",
    "almost": "far in excess of",
    "no more than": "no fewer than",
    "a minimum of": "a maximum of",
    "a maximum of": "a minimum of",
    "exceeded": "stayed below",
    "exceeds": "stays below",
    "or more": "or fewer",
    "or less": "or more",
    "greater than": "smaller than or equal to",
}
CURRENCIES = {
    "US$": "C$",
    "$": "€",
    "€": "£",
    "£": "¥",
    "dollars": "roubles",
    "dollar": "rouble",
    "pounds": "francs",
    "euros": "pesos",
    "cents": "pence",
    "francs": "marks",
}
WHOLES = {
    "consists of": "is only a part of",
    "consist of": "are only a part of",
    "consisted of": "was only a part of",
    "is composed of": "belongs to",
    "are composed of": "belong to",
    "comprises": "belongs to",
    "is part of": "contains the whole of",
    "are part of": "contain the whole of",
    "was part of": "contained the whole of",
    "part of the": "the whole of the",
    "parts of the": "every inch of the",
    "some of the": "all of the",
    "most of the": "every bit of the",
    "a member of": "the head of",
    "members of": "the heads of",
    "made up of": "split off from",
    "divided into": "merged out of",
    "half of the": "all of the",
    "many of the": "all of the",
    "an example of": "the definition of",
}
ORDER_OF_TIME = {
    "before": "only after",
    "after": "shortly before",
    "prior to": "in the wake of",
    "followed by": "preceded by",
    "preceded by": "followed by",
    "until": "from then on, starting with",
    "following": "ahead of",
    "subsequently": "previously",
    "previously": "subsequently",
    "during": "long after",
    "since": "up to",
    "eventually": "right at the start",
    "initially": "in the end",
    "originally": "in the end",
}
SYNONYMS = {
    "purchase": "buy",
    "utilized": "used",
    "sufficient": "enough",
    "various": "different",
    "method": "procedure",
    "required": "needed",
    "choose": "pick",
    "mainly": "chiefly",
    "famous": "well-known",
    "initially": "at first",
    "therefore": "thus",
    "attempted": "tried",
    "automobile": "car",
    "commence": "start",
    "occurred": "took place",
    "occurs": "happens",
    "performed": "carried out",
    "identical": "the same",
    "additional": "further",
    "modify": "change",
    "execute": "run",
    "beneath": "under",
    "remains": "stays",
    "enormous": "huge",
    "exactly": "precisely",
    "huge": "enormous",
    "near": "not far from",
    "shown": "demonstrated",
    "obtained": "acquired",
    "demonstrates": "makes clear",
    "revealed": "brought to light",
    "investigated": "looked into",
    "assessed": "evaluated",
    "evaluated": "assessed",
    "objective": "aim",
    "aim": "goal",
    "usually": "as a rule",
    "currently": "at the moment",
    "prior to": "before",
    "regarding": "about",
    "concerning": "about",
    "consists of": "is made up of",
    "enables": "makes it possible for",
    "handles": "takes care of",
    "receives": "gets",
    "retrieve": "fetch",
    "verify": "check",
    "entirely": "wholly",
    "the majority of": "most",
    "elderly": "old",
    "children": "youngsters",
    "illness": "disease",
    "assistance": "help",
    "residents": "inhabitants",
    "quick": "fast",
    "happy": "glad",
    "wealthy": "rich",
    "additionally": "in addition",
    "furthermore": "moreover",
    "created": "made",
    "discovered": "found",
    "throughout": "all through",
    "permitted": "allowed",
    "conflict": "dispute",
}
"""None of these pairs stands in a list of the built kinds."""

SPELLINGS = {
    "colour": "color",
    "color": "colour",
    "behavior": "behaviour",
    "behaviour": "behavior",
    "center": "centre",
    "centre": "center",
    "organized": "organised",
    "organization": "organisation",
    "organizations": "organisations",
    "recognized": "recognised",
    "analyzed": "analysed",
    "tumor": "tumour",
    "tumors": "tumours",
    "labor": "labour",
    "defense": "defence",
    "program": "programme",
    "theater": "theatre",
    "favor": "favour",
    "customize": "customise",
    "serialize": "serialise",
    "initialize": "initialise",
    "initialized": "initialised",
    "characterized": "characterised",
    "modeling": "modelling",
    "hemoglobin": "haemoglobin",
    "traveled": "travelled",
    "traveling": "travelling",
    "randomized": "randomised",
    "hospitalized": "hospitalised",
    "utilized": "utilised",
    "specialized": "specialised",
    "realize": "realise",
    "neighboring": "neighbouring",
    "honor": "honour",
    "meters": "metres",
    "fiber": "fibre",
    "catalog": "catalogue",
    "optimized": "optimised",
    "signaling": "signalling",
    "leukemia": "leukaemia",
    "license": "licence",
    "gray": "grey",
    "optimize": "optimise",
    "summarized": "summarised",
    "stabilize": "stabilise",
}
ABBREVIATIONS = {
    "for example": "e.g.",
    "e.g.": "for example",
    "i.e.": "that is",
    "and so on": "etc.",
    "versus": "vs.",
    "vs.": "versus",
    "Doctor": "Dr.",
    "Saint": "St.",
    "St.": "Saint",
    "Dr.": "Doctor",
    "Mount": "Mt.",
    "European Union": "EU",
    "World War II": "World War 2",
    "World War I": "World War One",
    "database": "DB",
    "approx.": "approximately",
    "operating system": "OS",
    "command line interface": "CLI",
    "television": "TV",
    "application": "app",
    "documentation": "docs",
    "parameters": "params",
    "standard deviation": "SD",
    "confidence interval": "CI",
    "blood pressure": "BP",
    "intravenous": "IV",
    "body mass index": "BMI",
    "messenger RNA": "mRNA",
    "central nervous system": "CNS",
    "kilometers": "km",
}
CONNECTIVES = (
    "However Therefore Moreover Furthermore Thus Additionally Consequently Nevertheless Meanwhile Hence Indeed "
    "In_addition In_fact As_a_result In_contrast For_example For_instance On_the_other_hand In_this_case Then So "
    "Of_course In_particular In_general By_contrast Similarly Likewise Also Notably Importantly Interestingly Finally"
)
OPENINGS = tuple(word.replace("_", " ") for word in CONNECTIVES.split())
MIDDLES = (
    "despite a warning from the engineers",
    "which the neighbours had demanded for years",
    "after a vote among the members",
    "against the advice of the lawyers",
    "much to the surprise of its sponsors",
    "thanks to a generous donation",
    "which a private firm maintains under contract",
    "although an earlier attempt had been abandoned",
    "as the inspectors had recommended",
    "with the consent of both owners",
    "which is shipped in a separate package",
    "at the request of a competitor",
)
REASONS = (
    "because the budget had been cut",
    "because an older agreement demanded it",
    "since the competitors had already done so",
    "in order to avoid a lawsuit",
    "because the original design proved too expensive",
    "for fear of a public protest",
    "since the first trial had been flawed",
    "in response to complaints from users",
    "because the weather made anything else impossible",
    "so that the insurance would pay",
)
PLACES = (
    "in a laboratory near the coast",
    "on a small island in the north",
    "at a meeting in Lisbon",
    "at the headquarters in Toronto",
    "in the suburbs of Nairobi",
    "in the basement of the town hall",
    "on the campus of a private college",
    "at a fair in Leipzig",
    "in most parts of Scandinavia",
    "behind the old railway station",
)
DATES = (
    "in the spring of 1968",
    "since the late 1840s",
    "on the eve of the election",
    "two weeks before the deadline",
    "on 4 November 2011",
    "at the end of the following winter",
    "by the middle of the 1720s",
    "from September onwards",
    "on the first Tuesday of each month",
    "three years after the merger",
)
MEMBERS = (
    "a chess club",
    "two museums",
    "a weather station",
    "the postal service",
    "salt mining",
    "an orchestra",
    "glass bottles",
    "a tax on windows",
    "bicycle lanes",
    "the fishing fleet",
)
SPEAKERS = (
    "a local newspaper",
    "an anonymous letter",
    "the treasurer's widow",
    "a rival company",
    "the police",
    "an insurance report",
    "a retired admiral",
    "the national weather office",
)
