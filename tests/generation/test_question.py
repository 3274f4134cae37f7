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
