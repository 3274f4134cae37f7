"""What a sentence must hold to answer a kind of question: a date, a number, a name, a reason, a way to do it.

Dates, numbers and times of day are read from digits; months, days, number words and words of reason are listed for the
languages whose questions `generation.question` reads. Where a script has no capital letters a name cannot be told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ragstone.documents.sentences import Kind
from ragstone.generation.facts import Facts
from ragstone.generation.question import Question, asks_time_of_day

_MONTHS = (
    "januar* februar* march april juni juli june july august* september oktober november dezember october "
    "december jan feb mar apr jun jul aug sept sep oct nov dec okt dez märz mai enero febrero marzo abril mayo "
    "junio julio agosto septiembre octubre noviembre diciembre janvier février mars avril juin juillet août "
    "septembre octobre novembre décembre janeiro fevereiro março maio junho julho setembro outubro novembro "
    "dezembro gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre январ* феврал* март* апрел* "
    "мая июн* июл* август* сентябр* октябр* ноябр* декабр* ocak şubat mart nisan mayıs haziran temmuz ağustos "
    "eylül ekim kasım aralık يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر जनवरी "
    "फ़रवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर सितम्बर अक्टूबर नवंबर दिसंबर januari februari maret mei "
    "agustus desember tammikuu* helmikuu* maaliskuu* huhtikuu* toukokuu* kesäkuu* heinäkuu* elokuu* syyskuu* "
    "lokakuu* marraskuu* joulukuu*"
)
_DAYS = (
    "weekend* weekday* holiday* wochenende* werktag* feiertag* "
    "monday* tuesday* wednesday* thursday* friday* saturday* sunday* montag* dienstag* mittwoch* donnerstag* "
    "freitag* samstag* sonnabend* sonntag* lunes martes miércoles jueves viernes sábado* domingo* lundi mardi "
    "mercredi jeudi vendredi samedi dimanche segunda-feira terça-feira quarta-feira quinta-feira sexta-feira "
    "lunedì martedì mercoledì giovedì venerdì sabato domenica понедельник* вторник* сред* четверг* пятниц* "
    "суббот* воскресень* pazartesi salı çarşamba perşembe cuma cumartesi pazar today tomorrow yesterday midnight "
    "noon heute morgen gestern mittags century centuries century's jahrhundert* siglo siècle século secolo век "
    "века веке yüzyıl* قرن القرن عام سنة शताब्दी सन वर्ष ago v.chr n.chr christmas easter"
)
_CLOCK_WORDS = (
    "noon midday midnight mittag* mitternacht* mediodía medianoche midi minuit meio-dia meia-noite mezzogiorno "
    "mezzanotte полдень полудня полночь полуночи öğlen öğle geceyarısı الظهر दोपहर siang keskipäivä* keskiyö* "
    "middag midnatt middernacht południe północ dawn dusk sunrise sunset"
)
_TIMES = (
    "when before after until since while during every each daily weekly monthly yearly annually quarterly hourly "
    "always never if once within immediately afterwards wenn bevor nachdem bis seit während jede* täglich "
    "wöchentlich monatlich jährlich sobald falls sofort cuando antes después hasta desde durante cada diario "
    "mensual* anual* si quand avant après jusqu depuis pendant chaque quotidien* mensuel* annuel* quando dopo "
    "prima fino ogni giornalier* antes depois até durante когда до после пока каждый каждую каждые ежедневно "
    "ежегодно если önce sonra kadar her günlük yıllık قبل بعد حتى كل عندما إذا पहले बाद तक हर जब अगर sebelum "
    "sesudah setelah sampai setiap ketika saat"
)
_TIMES_INSIDE = (
    "之前 之后 以后 每天 每年 每月 每周 直到 期间 當時 时候 まで から 毎日 毎年 毎月 ごろ 頃 とき 時に ก่อน หลัง "
    "ทุก จน เมื่อ ตั้งแต่ 부터 까지 매일 매년 때"
)
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty forty "
    "fifty sixty dozen hundred* thousand* million* billion* half quarter twice once single none zero unlimited "
    "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig hundert* tausend* million* milliard* "
    "halb* doppelt dos tres cuatro cinco seis siete ocho nueve diez once doce veinte cien* mil millones mitad "
    "doble deux trois quatre cinq sept huit neuf dix onze douze vingt cent* mille millions moitié dois três "
    "quatro sete oito nove dez cem milhões metade due tre quattro cinque sei sette otto nove dieci cento milioni "
    "metà два две три четыре пять шесть семь восемь девять десять сто тысяч* миллион* половин* iki üç dört beş "
    "altı yedi sekiz dokuz on yüz bin milyon* yarısı اثنان ثلاث* أربع* خمس* ست* سبع* ثمان* تسع* عشر* مئة مائة ألف "
    "مليون دو दो तीन चार पाँच पांच छह सात आठ नौ दस सौ हज़ार हजार लाख करोड़ satu dua tiga empat lima enam tujuh "
    "delapan sembilan sepuluh ratus ribu juta kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen "
    "sata tuhat to fire fem seks sju åtte ni ti hundre tusen"
)
_REASONS = (
    "because due since so therefore reason* cause* thus hence as to weil da denn daher deshalb wegen grund damit "
    "um porque debido razón causa* por ya para car parce afin raison* cause* grâce pour porque devido pois "
    "motivo* perché poiché causa* motivo per потому поэтому причин* из-за чтобы так çünkü nedeniyle için dolayı "
    "sebebi* yüzünden لأن بسبب لكي نتيجة क्योंकि कारण इसलिए karena sebab agar koska vuoksi siksi fordi derfor "
    "grunn kwa sababu"
)
_REASONS_INSIDE = "因为 因為 由于 由於 所以 因此 為了 为了 ため から ので 故 เพราะ เนื่องจาก เพื่อ 때문 위해 므로"
_WAYS = (
    "by use* using run* set* press click open* type enter* call* create* add* install* with via through durch mit "
    "mittels verwende* benutze* drücken klicken öffne* usando usa* use* mediante ejecut* pulse pulsa haga con en "
    "utilis* exécut* appuy* cliqu* avec par usando clique abra com execut* usando premi* clicca* con с помощью "
    "используйте нажмите ile kullan* tıkla* باستخدام اضغط عن बटन करके से"
)
_WAYS_INSIDE = "使用 通过 通過 点击 點擊 运行 設定 设置 で によって 使って 押 クリック โดย ด้วย ใช้ กด 사용 클릭 으로"


@dataclass(frozen=True, slots=True)
class _WordList:
    """Words, and beginnings of words."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]

    def holds(self, word: str) -> bool:
        return word in self.whole or word.startswith(self.beginnings)


def _words(listed: str) -> _WordList:
    """The words of a list; those with `*` are beginnings."""
    words = listed.split()
    beginnings = tuple(word[:-1] for word in words if word.endswith("*"))
    return _WordList(frozenset(word for word in words if not word.endswith("*")), beginnings)


def _inside(listed: str) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(part) for part in listed.split()))


_CLOCK = r"(?<!\d)\d{1,2}[:.h]\d\d(?!\d)|(?<!\d)\d{1,2} ?(?:am|pm|a\.m|p\.m|uhr)(?!\w)"
_HOUR = (
    r"(?<!\d)\d{1,2} ?(?:点|點|時(?!間)|时(?!间)|시(?!간)|นาฬิกา|น\.|โมง|ทุ่ม|बजे|o['’]clock|uur)"
    r"|[一二三四五六七八九十两兩]+[点點]"
    r"|บ่าย|(?:한|두|세|네|다섯|여섯|일곱|여덟|아홉|열) ?시(?!간)"
    r"|(?<!\w)(?:klo|kello|kl\.?|klokk\w*|saat|jam|pukul|saa|الساعة|a las|las|às|alle|dalle|ore) \d{1,2}(?![\d%])"
    r"|(?<!\w)(?:à|de|dès|vers|avant|après|jusqu['’]à) \d{1,2} ?(?:h|heures?)(?!\w)"
    r"|(?<!\w)(?:в|до|с|после|около|к) \d{1,2} (?:час\w*|ч)(?!\w)"
    r"|(?<!\w)(?:at|until|till|by|from) \d{1,2}(?=[.,;)]|$| (?:in|on|and|every|to|until) )"
)
_YEAR = r"(?<!\d)(?:1\d{3}|20\d\d)(?:s|er)?(?!\d)|(?<!\d)25\d\d(?!\d)"  # 25xx: the years of Thailand
_CALENDAR = (
    r"\d{1,4} ?[年月日世紀世纪時时년월일]|[一二三四五六七八九十〇]+[年月日时時]|星期|周[一二三四五六日]|"
    r"曜日|世紀|世纪|ปี|เดือน|วันที่|ศตวรรษ"
)
_NUMERIC_DATE = r"(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?!\d)"
_TIME_OF_DAY, _CLOCK_WORD = re.compile(f"{_CLOCK}|{_HOUR}"), _words(_CLOCK_WORDS)
_DATE = re.compile(f"{_YEAR}|{_CLOCK}|{_CALENDAR}|{_NUMERIC_DATE}")
_NO_AMOUNT = re.compile(r"(?<!\d)\d{1,2}[:h]\d\d(?!\d)|(?<!\d)\d{1,2}(?:\.\d\d)? ?(?:am|pm|a\.m|p\.m|uhr)(?!\w)")
"""Times of day, but for such as 9.30, which may be a price."""
_DATE_OF_DAYS = re.compile(f"{_YEAR}|{_CALENDAR}|{_NUMERIC_DATE}")
_DAY_COUNTED = re.compile(
    r"(?<!\w)(?:\w+(?:st|nd|rd|th) (?:day|week|month|year|hour)s?"
    r"|\w+(?:te|ten|tem|ter) (?:tag|woche|monat|jahr|stunde)\w*"
    r"|(?:primer|segund|tercer|cuart|quint|sext|séptim|octav|noven|décim)\w* (?:día|semana|mes|año)s?"
    r"|\w+(?:ième|er|ère) (?:jour|semaine|mois|année)s?)(?!\w)"
)
"""A day, week or month by its number."""
_DATE_WORD, _TIME_WORD, _TIME_INSIDE = _words(f"{_MONTHS} {_DAYS}"), _words(_TIMES), _inside(_TIMES_INSIDE)
_NUMBER, _NUMBER_WORD = re.compile(r"\d+"), _words(_NUMBERS)
_COUNTED = re.compile("[一二三四五六七八九十百千万萬億两兩半]+[个個人名座条條岁歲年次位家种種本回枚台件匹社校間度倍]")
_REASON, _REASON_INSIDE = _words(_REASONS), _inside(_REASONS_INSIDE)
_WAY, _WAY_INSIDE = _words(_WAYS), _inside(_WAYS_INSIDE)
_CODE = re.compile(r"`[^`\n]+`")
_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963\u0966-\u0dff])+(?:-[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Held:
    """How far a sentence holds what was asked for: outright, by a hint, or not; all False if any thing may do."""

    found: bool = False
    hint: bool = False
    missing: bool = False


ANY = Held()


def held(asked: Question, text: str, stated: Facts, kind: Kind) -> Held:
    """What a sentence holds of the kind that `asked` asks for, beyond the question's own words.

    Args:
        asked: The question.
        text: The sentence.
        stated: Its facts.
        kind: The kind of its line.
    """
    match asked.asks:
        case "date" | "number" | "reason" | "manner":
            return _stated(asked, text.casefold(), kind)
        case "person" | "place":
            return _named(asked, text, stated)
        case "polar" | "definition" | "thing":
            return ANY


def _stated(asked: Question, lower: str, kind: Kind) -> Held:
    """Whether the text, in lower case, holds what is read from digits and from listed words.

    A year answers no question for a time of day.
    """
    question, words = asked.text.casefold(), _WORD.findall(lower)
    match asked.asks:
        case "date" if asks_time_of_day(question):
            found = _new(_TIME_OF_DAY, lower, question) or _lists(_CLOCK_WORD, words, question)
            return _held(found, _lists(_TIME_WORD, words) or _has(_TIME_INSIDE, lower))
        case "date":
            found = _new(_DATE, lower, question) or _lists(_DATE_WORD, words, question)
            numbered = _has(_DAY_COUNTED, lower)
            return _held(found, numbered or _lists(_TIME_WORD, words) or _has(_TIME_INSIDE, lower))
        case "number":
            counted = _NO_AMOUNT.sub(" ", lower)  # a year or a time of day is no amount
            return _held(
                _new(_NUMBER, _DATE_OF_DAYS.sub(" ", counted), question),
                _new(_NUMBER, counted, question)
                or _lists(_NUMBER_WORD, words, question)
                or _new(_COUNTED, lower, question),
            )
        case "reason":
            return _held(_lists(_REASON, words) or _has(_REASON_INSIDE, lower), hint=False)
        case _:
            return _held(kind == "code" or _has(_CODE, lower), _lists(_WAY, words) or _has(_WAY_INSIDE, lower))


def _lists(listed: _WordList, words: Sequence[str], question: str = "") -> bool:
    """Whether one of the words is listed and does not stand in the question."""
    return any(listed.holds(word) and word not in question for word in words)


def _held(found: bool, hint: bool) -> Held:
    return Held(found, hint and not found, not (found or hint))


def _has(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def _new(pattern: re.Pattern[str], text: str, question: str) -> bool:
    """Whether the text holds a match that the question does not hold."""
    return any(found[0] not in question for found in pattern.finditer(text))


def _named(asked: Question, text: str, stated: Facts) -> Held:
    """Whether there is a name that the question lacks; unknown in a script without capital letters."""
    if not any(unicodedata.category(letter) == "Lu" for letter in text[:200]):
        cased = any(letter.islower() for letter in text[:200])
        return Held(missing=True) if cased else ANY
    known = set(asked.facts.names) | {word.casefold() for word in _WORD.findall(asked.text)}
    return _held(bool(set(stated.names) - known), hint=False)
