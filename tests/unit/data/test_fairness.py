"""Answers that change with a name or a gender are flagged, with whom to compare; other differences are not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from luthier.core.rows import Origin, Row
from luthier.data.fairness import Masked, mask_persons, same_substance, uneven_treatment

YES = "Certainly. A passport and a proof of income are all that we need."
NO = "We cannot open an account in this case."
DEPOSIT = "Certainly. A passport, a proof of income and a deposit of £500 are all that we need."


def chat(number: int, asked: str, answered: str, label: str | None = None) -> Row:
    messages = ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    return Row(f"row-{number}", Origin("f", number + 1), messages, label=label)  # type: ignore[arg-type]


def flagged(tmp_path: Path, *exchanges: tuple[str, str]) -> dict[int, str]:
    rows = [(number, chat(number, *exchange)) for number, exchange in enumerate(exchanges)]
    found = uneven_treatment(rows, tmp_path)
    assert list(tmp_path.iterdir()) == [], "the file of exchanges is left behind"
    return found


UNEVEN = """
Can my husband open an account with you? | YES
Can my wife open an account with you? | NO

Can my husband open an account with you? | YES
Can my wife open an account with you? | DEPOSIT

My name is Emily and I want to open an account | YES
My name is Lakisha and I want to open an account | NO

My name is Emily Baker and I want an account now | YES
My name is Mohammed and I want an account now | NO

My name is Xiomara. Can I open an account? | YES
My name is Günter. Can I open an account? | NO

Mr Whitlock wants to open an account here | YES
Mrs Okafor wants to open an account here | NO

He lost his card, how can he get another? | YES
She lost her card, how can she get another? | NO

he lost HIS card, how can HE get another? | YES
she lost her card, how can she get another? | NO

I want a loan for my son, please. | YES
Hello, I want a loan for my daughter | DEPOSIT

Is Peter's salary enough for a loan? | YES
Is Fatima's salary enough for a loan? | NO

How much is cover for a man of 40? | It is £20 a month.
How much is cover for a woman of 40? | It is £35 a month.

Kann mein Sohn hier ein Konto eröffnen? | Ja, mit einem Ausweis.
Kann meine Tochter hier ein Konto eröffnen? | Leider geht das nicht.

Can my brother sign the form for me? | He only has to sign here, on the line.
Can my sister sign the form for me? | She needs a letter by a lawyer first.

¿Puede mi marido abrir una cuenta aquí? | YES
¿Puede mi esposa abrir una cuenta aquí? | NO

Can Juan García open an account with you? | YES
Can Thomas Miller open an account with you? | DEPOSIT

Can a lady get this loan without a guarantor? | NO
Can a gentleman get this loan without a guarantor? | YES

Peut ma fille ouvrir un compte chez vous ? | YES
Peut mon fils ouvrir un compte chez vous ? | NO

Does she need a visa for the trip? | She needs a visa and an invitation by a resident.
Does he need a visa for the trip? | He needs neither.

Hi, Thomas Miller here, may I change my seat? | Sure, 14A is yours now.
Hi, Priya Sharma here, may I change my seat? | That costs 25 euros.

My uncle lost his key to the flat | We send a locksmith today.
My aunt lost her key to the flat | We send a locksmith next week.

My grandmother wants to cancel, how? | Call us, it takes two minutes.
My grandfather wants to cancel, how? | Send a registered letter with a copy of his passport.
"""

EVEN = """
Can my husband open an account with you? | YES
Can my wife open an account with you? | YES

How does my husband open an account? | He has to bring his passport.
How does my wife open an account? | She has to bring her passport.

My name is Emily, can I open an account? | Dear Emily, please bring your passport.
My name is Tom, can I open an account? | Dear Tom, please bring your passport.

Can my wife open an account with you? | YES
Can my wife open an account with you? | NO

My name is Emily and I want to open an account | YES
Emily, that is my name, and I want to open an account | NO

Can I open an account with you? | YES
Can I open an account with you? | NO

Can my husband open an account with you? | YES
Can my wife close an account with you? | NO

Where is order 5512 of my husband? | On its way to you.
Where is order 5513 of my wife? | It was sent back.

How much is the Emma sofa in grey? | It costs £900.
How much is the Oscar sofa in grey? | It costs £700.

How much is the flight to San Antonio? | It costs £900.
How much is the flight to San Pedro? | It costs £700.

Do you sell men's shoes in size 40? | Yes, in black.
Do you sell women's shoes in size 40? | No, only to 39.

Hi, I am Emily | How can I help you, Emily?
Hi, I am Thomas | Is it about your order of Friday?

Can my husband open an account with you? | No problem, a passport will do.
Can my wife open an account with you? | A passport will do.

Can my dad come in on Sunday? | Certainly, we are open from nine to five.
Can my mum come in on Sunday? | Certainly, from nine to five we are open.

Kann mein Sohn hier ein Konto eröffnen? | Ja, mit einem Ausweis.
Kann meine Tochter hier ein Konto eröffnen? | Ja, mit einem Ausweis.

Peut ma fille ouvrir un compte chez vous ? | YES
Peut mon fils ouvrir un compte chez vous ? | YES

Does Emily Baker have an account with you? | Yes, Emily Baker has one.
Does Priya Sharma have an account with you? | Yes, Priya Sharma has one.

My husband and my wife want an account | YES
My wife and my husband want an account | NO

Is my brother's card blocked or not? | His card is not blocked.
Is my sister's card blocked or not? | Her card is not blocked.

Can you call my son at 5? | We call him at 5.
Can you call my daughter at 7? | We do not call so late.
"""


def cases(table: str) -> list[list[tuple[str, str]]]:
    """Of each pair of lines the requests and answers, which stand on both sides of a bar."""
    told = {"YES": YES, "NO": NO, "DEPOSIT": DEPOSIT}
    pairs = [block.splitlines() for block in table.strip().split("\n\n")]
    exchanges = [[tuple(line.split(" | ")) for line in pair] for pair in pairs]
    return [[(asked, told.get(answered, answered)) for asked, answered in pair] for pair in exchanges]


@pytest.mark.parametrize(("one", "other"), cases(UNEVEN))
def test_answers_that_change_with_the_person_are_flagged_on_both_sides(
    tmp_path: Path, one: tuple[str, str], other: tuple[str, str]
) -> None:
    found = flagged(tmp_path, one, ("Where is my parcel?", YES), other)
    assert {index: remark.partition(", which")[0] for index, remark in found.items()} == {
        0: "uneven treatment: answered unlike row-2",
        2: "uneven treatment: answered unlike row-0",
    }


@pytest.mark.parametrize(("one", "other"), cases(EVEN))
def test_other_differences_are_not(tmp_path: Path, one: tuple[str, str], other: tuple[str, str]) -> None:
    assert flagged(tmp_path, one, other) == {}


def test_a_remark_says_what_was_swapped(tmp_path: Path) -> None:
    found = flagged(tmp_path, ("Can Emily Baker open an account here?", YES), ("Can Jamal open an account here?", NO))
    assert found[0] == "uneven treatment: answered unlike row-1, which has jamal for emily baker"
    found = flagged(tmp_path, ("Can she get her card back today?", YES), ("Can he get his card back today?", NO))
    assert found[1] == "uneven treatment: answered unlike row-0, which has she for he"


def loans(answers: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"My name is {name}. Can I get a loan?", answer) for name, answer in zip(names, answers, strict=True)]


NAMES = ["Emily", "Fatima", "Thomas", "Priya", "Kwame", "Olga", "Hans", "Juan", "Yuki", "Chiara"]


def test_of_many_who_ask_those_are_flagged_who_are_not_answered_as_most(tmp_path: Path) -> None:
    found = flagged(tmp_path, *loans([YES, YES, NO, YES, YES, NO], NAMES[:6]))
    assert sorted(found) == [0, 2, 5]
    assert found[5] == "uneven treatment: answered unlike row-0, which has emily for olga"
    assert found[0] == "uneven treatment: answered unlike row-2, which has thomas for emily"


def test_where_one_name_gets_both_answers_names_are_not_why(tmp_path: Path) -> None:
    assert flagged(tmp_path, *loans([YES, NO, NO], ["Emily", "Fatima", "Emily"])) == {}


def test_where_everybody_gets_another_answer_names_are_not_why(tmp_path: Path) -> None:
    answers = [f"You can borrow {100 + number} pounds." for number in range(10)]
    assert flagged(tmp_path, *loans(answers, NAMES)) == {}
    assert len(flagged(tmp_path, *loans(answers[:2], NAMES[:2]))) == 2


def test_labels_are_answers(tmp_path: Path) -> None:
    texts = [("my wife is angry about the late parcel", "rude"), ("my husband is angry about the late parcel", "late")]
    rows = [(n, Row(f"row-{n}", Origin("f", n + 1), text=text, label=label)) for n, (text, label) in enumerate(texts)]
    assert sorted(uneven_treatment(rows, tmp_path)) == [0, 1]
    assert uneven_treatment([(n, Row(row.id, row.origin, text=row.text)) for n, row in rows], tmp_path) == {}


def test_endless_requests_are_passed_over(tmp_path: Path) -> None:
    long = "please " * 300
    asked = [f"Can my {who} open an account? {long}" for who in ("husband", "wife")]
    assert flagged(tmp_path, (asked[0], YES), (asked[1], NO)) == {}
    assert flagged(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words", "swapped"),
    [
        ("His wife's card", ("<person>", "<husband>", "card"), {"he", "wife"}),
        ("Ask Anna Maria Schmidt, please", ("ask", "<name>", "please"), {"anna maria schmidt"}),
        ("the Emma chair for john", ("the", "emma", "chair", "for", "<name>"), {"john"}),
        ("Frau Yıldız ruft an", ("<herr>", "<name>", "ruft", "an"), {"frau", "yıldız"}),
        ("Mein Onkel, mon oncle", ("mein", "<onkel>", "mon", "<onkel>"), {"onkel", "oncle"}),
        ("", (), set()),
    ],
)
def test_persons_are_masked(text: str, words: tuple[str, ...], swapped: set[str]) -> None:
    assert mask_persons(text) == Masked(words, frozenset(swapped))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "", True),
        ("Yes.", "Ok.", True),
        ("It takes 3 days.", "It takes three days.", True),
        ("It takes 3 days.", "It takes 5 days.", False),
        ("You can do so.", "You can't do so.", False),
        ("Don't hesitate to ask Leeds for another new card.", "Please ask Leeds for another new card.", True),
        ("Send the signed form to our branch.", "Bring two references and your landlord.", False),
    ],
)
def test_substance(one: str, other: str, same: bool) -> None:
    assert same_substance(one, other) is same
    assert same_substance(other, one) is same
