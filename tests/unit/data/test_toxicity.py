import pickle
import re
from functools import partial

import pytest

from luthier.core.recipe import CleanSection
from luthier.core.rows import Message, Origin, Role, Row
from luthier.data.clean import cleaning_steps, run_steps
from luthier.data.reasons import Dropped
from luthier.data.toxicity import _rules, find_toxic, treat_toxicity

ORIGIN = Origin("t.csv", 1)
BIASED = "biased: generalisation over a group of people"


def chat(*turns: tuple[Role, str]) -> Row:
    return Row("", ORIGIN, tuple(Message(role=role, content=content) for role, content in turns))


FOUND = [
    ("insult", "You are such an idiot."),
    ("insult", "Give me my money, you stupid morons!"),
    ("insult", "What a bunch of idiots."),
    ("insult", "your support agent is a complete imbecile"),
    ("insult", "Are you stupid?"),
    ("insult", "Go fuck yourself and your shop"),
    ("insult", "SHUT THE FUCK UP"),
    ("insult", "the driver was an asshole"),
    ("insult", "you’re all scumbags"),
    ("insult", "Du Arschloch, wo ist mein Tisch?"),
    ("insult", "Sie Idiot!"),
    ("insult", "Ihr seid doch alle Volltrottel"),
    ("insult", "Bist du dumm?"),
    ("insult", "Halt die Fresse."),
    ("insult", "verpisst euch"),
    ("insult", "Leck mich am Arsch"),
    ("insult", "Espèce d’idiot !"),
    ("insult", "t'es con ou quoi ?"),
    ("insult", "Vous êtes vraiment stupides."),
    ("insult", "va te faire foutre"),
    ("insult", "Quel fils de pute"),
    ("insult", "bande de crétins"),
    ("insult", "¡Eres un imbécil!"),
    ("insult", "sois unos inútiles"),
    ("insult", "hijos de puta, devolvedme el dinero"),
    ("insult", "vete a la mierda"),
    ("insult", "panda de gilipollas"),
    ("slur", "nothing but faggots work there"),
    ("slur", "you retard"),
    ("slur", "So ein Kanake hat mir das geliefert."),
    ("slur", "sales bougnoules"),
    ("slur", "el repartidor era un sudaca"),
    ("threat", "I will kill you."),
    ("threat", "we're going to murder your family"),
    ("threat", "Kill yourself."),
    ("threat", "you should all die slowly"),
    ("threat", "I'm going to burn down your office"),
    ("threat", "I know where you live"),
    ("threat", "Ich bringe dich um!"),
    ("threat", "Ich werde euch alle abstechen"),
    ("threat", "Ich weiß genau, wo Sie wohnen."),
    ("threat", "Geh sterben"),
    ("threat", "Je vais vous tuer"),
    ("threat", "crève, connard"),
    ("threat", "te voy a matar"),
    ("threat", "ojalá os muráis"),
    ("sexual", "suck my dick"),
    ("sexual", "send me nudes"),
    ("sexual", "ich will dich ficken"),
    ("sexual", "montre-moi tes seins"),
    ("sexual", "chúpame la polla"),
    ("curse", "Well, shit."),
    ("curse", "So eine Scheiße."),
]
BIASES = [
    "Women can't drive.",
    "women are too emotional",
    "Everybody knows that all Muslims are terrorists.",
    "Black people are less intelligent.",
    "immigrants always steal",
    "women cannot be trusted with a car",
    "Frauen können nicht einparken.",
    "Alle Ausländer sind kriminell",
    "Polen klauen alle.",
    "Les femmes ne savent pas conduire.",
    "Tous les Arabes sont des voleurs.",
    "Las mujeres no saben conducir.",
    "Todos los inmigrantes son delincuentes",
]
HARMLESS = [
    "",
    "How do I kill the process? It says: kill -9, then the child dies.",
    "my account was hacked, damn",
    "Where is my damn parcel?",
    "I need the invoice, for heaven's sake!",
    "I feel like an idiot for missing the e-mail.",
    "This is a stupid question, but where is the switch?",
    "This stupid machine swallowed my card!",
    "Is there a shop in Scunthorpe, Penistone, Essex or Cockfosters?",
    "Mr. Dick Cummings and Ms. Wanka from Pornic ordered shiitake, a peacock and a bassoon.",
    "Our assassin's class assesses analysis of cockpits, cocktails and titration.",
    "If you prick your finger, use a plaster.",
    "I'll shoot you an e-mail. We will shoot you over the form.",
    "We will beat any price and break the news to your team.",
    "The battery will die, I could die of laughter, and hang yourself a coat rack.",
    "I have a Maine Coon, a cocker spaniel, a great tit and two bitches of the same litter.",
    "Kike, from Spain, and Paki, from Finland, both ordered kaffir limes.",
    "Can you dumb it down for me?",
    "Where do you live? I know a place where people live longer.",
    "Ich bringe Sie um 8 Uhr zum Bahnhof.",
    "Ich bringe Sie um die Ecke, dann sind Sie da.",
    "Die Pute ist zu dick, und der Hahn leckt.",
    "Das ist dumm gelaufen, wie dumm von mir.",
    "Die Pflanzen sind krank, sie werden alle sterben.",
    "Sind Sie behindert oder haben Sie einen Ausweis?",
    "Das Schwarze Brett, der Negroni und der Spatz kommen morgen.",
    "Mist, verdammt, das Paket ist weg!",
    "Le retard de livraison est long, mais on le tue pas.",
    "Zut, ma commande est en retard, et le chat a une chatière.",
    "Le bouchon est cassé, et je n'ai pas de partition.",
    "El bolso negro sale con retraso.",
    "¿Puedes tú con esto? Mi perra necesita su collar.",
    "El programa se sale con un error.",
    "Me muero de risa, te voy a llamar.",
    "All women are welcome, and all men are created equal.",
    "Women's shoes are in the second row, men can find theirs in the third.",
    "All girls' sizes are sold out.",
    "Women are more likely to live longer than men.",
    "Is it true that women can't drive? No, that is a stereotype.",
    "Alle Frauen sind herzlich eingeladen.",
    "Polen und Russen reisen mit Pass.",
    "Toutes les femmes sont les bienvenues.",
    "Todas las mujeres son bienvenidas.",
    "Убейте процесс, пожалуйста.",
    "我的订单在哪里？",
]


@pytest.mark.parametrize(("category", "text"), FOUND)
def test_toxic_texts_are_found(category: str, text: str) -> None:
    assert f"toxic: {category}" in find_toxic(text)


@pytest.mark.parametrize("text", BIASES)
def test_generalisations_over_groups_are_found(text: str) -> None:
    assert BIASED in find_toxic(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_pass(text: str) -> None:
    assert find_toxic(text) == []


def test_a_text_may_be_several_things_and_sentences_are_read_one_by_one() -> None:
    assert find_toxic("You idiot. I will kill you. Women can't drive.") == [BIASED, "toxic: insult", "toxic: threat"]
    assert find_toxic("I like you. Idiots are a film by Lars von Trier.") == []


def test_every_word_is_found_by_itself_and_as_it_is_compared() -> None:
    rules = _rules()
    assert len(rules) > 500
    assert all(re.fullmatch(rb"[a-z]+", word) for word in rules)
    alone = [word.decode() for word, led in rules.items() if any(rule.pattern is None for rule in led)]
    assert len(alone) > 150
    assert [word for word in alone if not find_toxic(f"Well, {word.upper()}!")] == []
    assert [word for word in alone if find_toxic(f"x{word}x")] == []


def test_rows_are_flagged_by_who_speaks_without_the_words() -> None:
    row = chat(
        ("system", "You are an idiot."),
        ("user", "You idiot, this is shit. You moron."),
        ("assistant", "Women can't drive. Shit."),
        ("tool", "you idiot"),
    )
    flagged = treat_toxicity(row, "flag")
    assert isinstance(flagged, Row)
    assert flagged.flags == (
        "toxic: insult, in the user's turn",
        f"{BIASED}, in the assistant's turn",
        "toxic: curse, in the assistant's turn",
    )
    assert flagged.messages == row.messages
    assert treat_toxicity(row, "drop") == Dropped(flagged.flags)


def test_rejected_answers_are_not_looked_at_and_texts_are() -> None:
    pair = Row(
        "",
        ORIGIN,
        chat(("user", "Hi"), ("assistant", "Hello")).messages,
        rejected=chat(("assistant", "You idiot.")).messages,
    )
    assert treat_toxicity(pair, "flag") is pair
    text = treat_toxicity(Row("", ORIGIN, text="All of you idiots"), "drop")
    assert text == Dropped(("toxic: insult, in the text",))


def test_the_recipe_says_what_becomes_of_them() -> None:
    row = chat(("user", "Where is my table, you idiots?"), ("assistant", "It comes on Friday."))
    remark = "toxic: insult, in the user's turn"
    done = {mode: run_steps(row, cleaning_steps(CleanSection(toxicity=mode), "")) for mode in ("flag", "drop", None)}
    assert {mode: (cleaned.reasons, cleaned.row.flags) for mode, cleaned in done.items()} == {
        "flag": ((), (remark,)),
        "drop": ((remark,), ()),
        None: ((), ()),
    }
    assert CleanSection().toxicity == "flag"
    pickle.dumps(partial(treat_toxicity, mode="flag"))
