"""Units of measure: each name and symbol of a unit gives the same unit; and which of them need a figure before.

The SI units with their prefixes, common units of English-speaking countries, time, data, temperature and money. Where
a name has two units ("pounds"), it gives both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_PREFIXES = "n:nano \u00b5:micro m:milli c:centi d:deci k:kilo M:mega G:giga T:tera P:peta"
_PREFIXED = {
    "m": "metre meter",
    "g": "gram gramme",
    "s": "second sec",
    "l L": "litre liter",
    "W": "watt",
    "V": "volt",
    "A": "ampere amp",
    "Hz": "hertz",
    "Pa": "pascal",
    "J": "joule",
    "N": "newton",
    "Wh": "watt-hour",
    "eV": "electronvolt",
    "mol": "mole",
    "M": "molar",
    "F": "farad",
    "Sv": "sievert",
    "Gy": "gray",
    "cal": "calorie",
    "B": "byte",
    "b bit": "bit",
    "bps": "bit/s",
    "Ω": "ohm",
    "bar": "bar",
    "t": "tonne",
    "Da": "dalton",
}
"""Symbols of units that take a prefix, and their names in the singular."""

_OTHERS = """
    %: percent, per cent, pct, pct., per-cent
    percentage point: percentage points, pp
    in.: inch, inches
    ft: foot, feet
    yd: yard, yards, yds
    mi: mile, miles
    nmi: nautical mile, nautical miles
    acre: acres
    ha: hectare, hectares
    oz: ounce, ounces
    lb: lbs, lb., lbs., pound, pounds
    st: stone
    t: ton, tons, metric ton, metric tons, metric tonne, metric tonnes
    gal: gallon, gallons
    pt: pint, pints
    qt: quart, quarts
    bbl: barrel, barrels
    hp: horsepower
    psi: pounds per square inch
    atm: atmosphere, atmospheres
    kn: knot, knots
    rpm: revolutions per minute
    fps: frames per second
    min: minute, minutes, mins, min.
    h: hour, hours, hr, hrs, hr., hrs.
    s: sec., secs, secs.
    d: day, days
    wk: week, weeks, wks
    mo: month, months
    yr: year, years, yrs, yr., yrs.
    decade: decades
    century: centuries
    kB: KB, K bytes
    kibibyte: KiB, kibibytes
    mebibyte: MiB, mebibytes
    gibibyte: GiB, gibibytes
    px: pixel, pixels
    dB: decibel, decibels
    K: kelvin, kelvins
    °C: degree Celsius, degrees Celsius, degrees C, degrees centigrade, Celsius, ° C, ℃
    °F: degree Fahrenheit, degrees Fahrenheit, degrees F, Fahrenheit, ° F, ℉
    °: degree, degrees, deg
    mph: miles per hour, mile per hour, miles an hour, mi/h, m.p.h.
    km/h: kph, kmh, kmph, km per hour, km an hour
    mpg: miles per gallon
    dozen: dozens
    k: thousand
    mn: million, mln
    bn: billion
    tn: trillion, trn
    $: dollar, dollars, US dollar, US dollars, USD, U.S. dollars
    €: euro, euros, EUR
    £: pound, pounds, pounds sterling, pound sterling, GBP
    ¥: yen, JPY
    ₹: rupee, rupees, INR
    c: cent, cents
"""
_SQUARES = ("m", "km", "cm", "mm", "ft", "mi", "in", "yd")
_RATES = ("m", "km", "g", "l", "B", "MB", "GB", "Mb", "Gb", "kB", "mi", "ft")

MONEY_SIGNS = "$€£¥₹"


def units_of(form: str) -> frozenset[str]:
    """The units that a name (in any case) or a symbol may mean; empty if it is none."""
    return UNITS.get(form) or UNITS.get(form.casefold(), frozenset()) if len(form) > 1 else UNITS.get(form, frozenset())


def needs_figure(form: str) -> bool:
    """Whether the form is a unit only behind a figure: symbols and short names are words of their own elsewhere."""
    return len(form) <= MAX_SYMBOL_CHARS or form.casefold() in _BARE


MAX_SYMBOL_CHARS = 3
_ALSO_OTHER = "second seconds minute minutes foot feet gray stone mole molar bar ton yard pound degree"
_BARE = frozenset(_ALSO_OTHER.split())


def _named() -> Iterator[tuple[str, str]]:
    """(form, unit) of everything."""
    for symbols, names in _PREFIXED.items():
        symbol, *_ = symbols.split()
        for one, many in _with_prefixes(symbols.split(), names.split()):
            yield from ((form, one) for form in many)
        yield from ((form, symbol) for form in (*symbols.split(), *_plurals(names.split())))
    for line in _OTHERS.strip().splitlines():
        unit, _, names = line.strip().partition(": ")
        yield from ((form, unit) for form in (unit, *names.split(", ")))


def _with_prefixes(symbols: Iterable[str], names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each prefixed unit with its forms."""
    symbols, names = list(symbols), list(names)
    for entry in _PREFIXES.split():
        prefix, _, spoken = entry.partition(":")
        signs = [prefix, "\u03bc", "u", "mc"] if prefix == "\u00b5" else [prefix]
        forms = [sign + symbol for sign in signs for symbol in symbols]
        yield prefix + symbols[0], forms + _plurals([spoken + name for name in names])


def _plurals(names: Iterable[str]) -> list[str]:
    return [form for name in names for form in (name, f"{name}s")]


def _powers(known: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """(form, unit) of areas, volumes and rates."""
    for symbol in _SQUARES:
        forms = [form for form, units in known.items() if symbol in units or f"{symbol}." in units]
        for power, sign, short in (("square", "2²", "sq"), ("cubic", "3³", "cu")):
            unit = f"{symbol}{sign[0]}"
            yield from ((f"{lead} {form}", unit) for lead in (power, short, f"{short}.") for form in forms)
            yield from ((f"{symbol}{way}", unit) for way in (*sign, f"^{sign[0]}"))
    for symbol in _RATES:
        forms = [form for form, units in known.items() if symbol in units]
        for time, times in (("h", ("hour", "h")), ("s", ("second", "s", "sec")), ("min", ("minute", "min"))):
            unit = "mph" if (symbol, time) == ("mi", "h") else f"{symbol}/{time}"
            yield from (
                (f"{form}{link}{one}", unit)
                for form in forms
                for link in (" per ", "/", " a ", " an ")
                for one in times
            )


def _table() -> dict[str, frozenset[str]]:
    known: dict[str, set[str]] = {}
    for form, unit in _named():
        known.setdefault(form, set()).add(unit)
    for form, unit in list(_powers(known)):
        known.setdefault(form, set()).add(unit)
    for form, units in list(known.items()):
        if len(form) > MAX_SYMBOL_CHARS:
            known.setdefault(form.casefold(), set()).update(units)
    return {form: frozenset(units) for form, units in known.items()}


UNITS = _table()
