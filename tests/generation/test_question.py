"""What a question asks for, in many languages, and what a sentence must hold to answer it."""

from __future__ import annotations

import pytest

from ragstone.documents.languages import language_of_text
from ragstone.generation.answer_kinds import held
from ragstone.generation.facts import facts
from ragstone.generation.question import asked_for, key, read


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When was the mill built?", "date"),
        ("In what year was the mill built?", "date"),
        ("What happens when the mill stops?", "thing"),
        ("How many sacks fit in the store?", "number"),
        ("How do I stop the mill?", "manner"),
        ("May guests enter the mill?", "polar"),
        ("Is the store locked?", "polar"),
        ("What is a hopper?", "definition"),
        ("Who grinds the corn?", "person"),
        ("the man who grinds the corn", "thing"),
        ("Where is the hopper?", "place"),
        ("Why does the stone stop?", "reason"),
        ("Wann wurde die Mühle gebaut?", "date"),
        ("In welchem Jahr wurde die Mühle gebaut?", "date"),
        ("Wie viele Säcke passen in den Speicher?", "number"),
        ("Wie hält man die Mühle an?", "manner"),
        ("Darf man die Mühle betreten?", "polar"),
        ("Was ist ein Trichter?", "definition"),
        ("¿Cuándo se construyó el molino?", "date"),
        ("¿Cuántos sacos caben?", "number"),
        ("¿Dónde está la tolva?", "place"),
        ("Quand le moulin a-t-il été construit ?", "date"),
        ("Combien de sacs ?", "number"),
        ("Qui moud le blé ?", "person"),
        ("Pourquoi la meule s'arrête-t-elle ?", "reason"),
        ("Quando foi construído o moinho?", "date"),
        ("Quanti sacchi ci sono?", "number"),
        ("Chi macina il grano?", "person"),
        ("磨坊什么时候建成？", "date"),
        ("仓库能放多少袋？", "number"),
        ("为什么石头停了？", "reason"),
        ("客人可以进入磨坊吗？", "polar"),
        ("水車はいつ建てられましたか。", "date"),
        ("倉庫に何個の袋が入りますか。", "number"),
        ("誰が粉をひきますか。", "person"),
        ("متى بُنيت الطاحونة؟", "date"),
        ("كم كيسا في المخزن؟", "number"),
        ("Когда построили мельницу?", "date"),
        ("Сколько мешков помещается?", "number"),
        ("Кто мелет зерно?", "person"),
        ("โรงสีสร้างเมื่อไร", "date"),
        ("มีกี่กระสอบ", "number"),
        ("चक्की कब बनी?", "date"),
        ("कितने बोरे हैं?", "number"),
        ("Değirmen ne zaman yapıldı?", "date"),
        ("Depoda kaç çuval var?", "number"),
    ],
)
def test_the_kind_of_thing_that_is_asked_for_is_known(question, kind):
    assert asked_for(question)[0] == kind


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        ("When is the mill open?", "It is open on Tuesdays.", "It is open to guests."),
        ("When was the mill built?", "Workers built it in 1854.", "Workers built it of stone."),
        ("Wann wurde die Mühle gebaut?", "Sie entstand im März.", "Sie entstand aus Stein."),
        ("磨坊什么时候建成？", "磨坊于1854年建成。", "磨坊用石头建成。"),
        ("Quand le moulin ouvre-t-il ?", "Il ouvre le lundi.", "Il ouvre au public."),
        ("How many sacks fit in?", "It takes forty sacks.", "It takes sacks of corn."),
        ("¿Cuántos sacos caben?", "Caben 40 sacos.", "Caben sacos grandes."),
        ("Сколько мешков помещается?", "Помещается сорок, то есть 40.", "Помещается много мешков."),
        ("Who built it?", "It was built by Anna Holm.", "It was built by hand."),
        ("Why is it shut?", "It is shut because the stone broke.", "It is shut and dark."),
        ("Warum ist sie zu?", "Sie ist zu, weil der Stein brach.", "Sie ist zu und dunkel."),
        ("How do I stop it?", "Press the red lever.", "It has a lever that nobody likes."),
    ],
)
def test_a_sentence_holds_that_kind_or_not(question, yes, no):
    asked = read(question, [])
    good, bad = (held(asked, text, facts(text), "prose") for text in (yes, no))
    assert not good.missing
    assert bad.missing


TIMES_OF_DAY = [
    ("What time does the mill open?", "It opens at 9 am.", "The mill was built in 1854."),
    ("Until what time may one stay?", "The last guests leave at 10:30.", "The mill was restored in March 2014."),
    ("Um wie viel Uhr öffnet die Mühle?", "Sie öffnet um 9 Uhr.", "Die Mühle wurde 1854 gebaut."),
    ("¿A qué hora abre el molino?", "Abre a las 9.", "El molino se construyó en 1854."),
    ("À quelle heure ouvre le moulin ?", "Il ouvre à 9 heures.", "Le moulin date de mars 1854."),
    ("A que horas abre o moinho?", "Abre às 9h30.", "O moinho foi construído em 1854."),
    ("A che ora apre il mulino?", "Apre alle 9.", "Il mulino fu costruito nel 1854."),
    ("Во сколько открывается мельница?", "Она открывается в 9 часов.", "Мельница построена в 1854 году."),
    ("في أي ساعة تفتح الطاحونة؟", "تفتح الساعة 9 صباحا.", "بنيت الطاحونة سنة 1854."),
    ("Değirmen saat kaçta açılıyor?", "Saat 9 gibi açılıyor.", "Değirmen 1854 yılında yapıldı."),
    ("चक्की कितने बजे खुलती है?", "चक्की सुबह 9 बजे खुलती है।", "चक्की 1854 में बनी।"),
    ("Jam berapa kincir dibuka?", "Kincir dibuka pukul 9.", "Kincir dibangun tahun 1854."),
    ("Mihin aikaan mylly avataan?", "Mylly avataan klo 9.", "Mylly rakennettiin vuonna 1854."),
    ("磨坊几点开门？", "磨坊早上9点开门。", "磨坊建于1854年。"),
    ("水車は何時に開きますか。", "9時に開きます。", "1854年に建てられました。"),
    ("방앗간은 몇 시에 엽니까?", "오전 9시에 엽니다.", "1854년에 지어졌습니다."),
    ("โรงสีเปิดกี่โมง", "เปิด 9 โมง", "สร้างในปี 1854"),
]


@pytest.mark.parametrize(("question", "yes", "no"), TIMES_OF_DAY, ids=[each[0] for each in TIMES_OF_DAY])
def test_a_year_is_no_time_of_day(question, yes, no):
    asked = read(question, [])
    assert asked.asks == "date"
    good, bad = (held(asked, text, facts(text), "prose") for text in (yes, no))
    assert good.found
    assert bad.missing


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What time of year is best?", "May 2014 was best."),
        ("When was the mill built?", "It was built in 1854."),
        ("When does the mill open?", "It opens at 9:30."),
        ("How much is a sack?", "A sack is 9.30 euros."),
    ],
)
def test_any_time_answers_when_and_a_price_with_cents_is_an_amount(question, text):
    assert held(read(question, []), text, facts(text), "prose").found


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Ab welchem Tag mahlt die Mühle?", "Sie mahlt ab dem vierten Tag."),
        ("When does the mill close?", "It closes in the sixth week."),
    ],
)
def test_a_day_may_be_named_by_its_number(question, text):
    assert not held(read(question, []), text, facts(text), "prose").missing


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Was kostet ein Sack Mehl?", "thing"),
        ("Was the mill sold?", "polar"),
        ("방앗간은 몇 시간 동안 엽니까?", "number"),
        ("방앗간을 수리해야 합니까?", "thing"),
    ],
)
def test_words_of_another_kind_or_language_ask_for_nothing(question, kind):
    assert asked_for(question)[0] == kind


def test_what_the_question_says_itself_is_not_found():
    asked = read("When in 1854 was the mill built?", [])
    assert held(asked, "The mill of 1854 is of stone", facts("The mill of 1854 is of stone"), "prose").missing


def test_a_script_without_capital_letters_hides_names():
    asked = read("من بنى الطاحونة؟", [])
    assert not held(asked, "بناها أحمد", facts("بناها أحمد"), "prose").missing


def test_inflected_words_share_a_key():
    assert key("городами") == key("городах")
    assert key("contraseña") == key("contraseñas")
    assert key("الطاحونة") == key("طاحونة")
    assert key("mill") != key("mile")


def test_function_words_of_the_language_of_the_question_are_no_terms():
    asked = read("Wie ist die Adresse des Vermieters?", [])
    assert asked.language == language_of_text("Wie ist die Adresse des Vermieters?") == "de"
    assert asked.ordered == (key("adresse"), key("vermieters"))


def test_a_rare_term_weighs_more():
    asked = read("Which mill grinds rye?", [{"mill", "oats"}, {"mill", "wheat"}, {"mill", "rye"}])
    assert asked.weights["rye"] > asked.weights["mill"]


def test_a_huge_question_is_read_in_part():
    assert len(read("how many " + "sacks of corn, " * 100_000, []).text) <= 2_000
