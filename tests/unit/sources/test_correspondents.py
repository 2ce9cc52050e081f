from hypothesis import given
from hypothesis import strategies as st

from luthier.sources.correspondents import Company, Mail, company_of, in_threads


def mail(
    number: int, references: tuple[int, ...] = (), subject: str = "", sender: str = "a@x.example", to: str = ""
) -> Mail:
    return Mail(
        *(0, 0, number, f"{number}", tuple(map(str, references)), sender, "", (to,) if to else ()),
        subject=subject,
        sent=float(number),
        automatic=False,
    )


def numbers(mails: list[Mail]) -> list[list[int]]:
    return [[each.line for each in thread] for thread in in_threads(mails)]


def test_mails_that_name_each_other() -> None:
    assert numbers([mail(1), mail(2), mail(3, (1,)), mail(4, (2,)), mail(5, (3, 1))]) == [[1, 3, 5], [2, 4]]


def test_a_mail_that_is_missing_holds_two_together() -> None:
    assert numbers([mail(1, (9,)), mail(2, (9,))]) == [[1, 2]]


def test_circles_end() -> None:
    assert numbers([mail(1, (3,)), mail(2, (1,)), mail(3, (2, 3))]) == [[1, 2, 3]]
    assert numbers([mail(1, (1,))]) == [[1]]


def test_subjects_need_a_common_correspondent() -> None:
    first = mail(1, subject="Order", sender="ann@x.example", to="shop@y.example")
    answer = mail(2, subject="Re: Order", sender="shop@y.example", to="ann@x.example")
    stranger = mail(3, subject="Re: Order", sender="bob@z.example", to="else@w.example")
    fresh = mail(4, subject="Order", sender="ann@x.example", to="shop@y.example")
    assert numbers([first, answer, stranger, fresh]) == [[1, 2], [3], [4]]


@given(st.lists(st.lists(st.integers(1, 12), max_size=4), max_size=12))
def test_every_mail_is_in_one_thread_whatever_it_names(references: list[list[int]]) -> None:
    mails = [mail(number, tuple(named)) for number, named in enumerate(references, start=1)]
    assert sorted(number for thread in numbers(mails) for number in thread) == [each.line for each in mails]


def test_the_company_takes_part_in_most_threads() -> None:
    threads = [
        [
            mail(1, sender="ann@gmail.com", to="help@birch.example"),
            mail(2, sender="tom@birch.example", to="ann@gmail.com"),
        ],
        [mail(3, sender="bob@gmail.com", to="sales@birch.example")],
    ]
    company = company_of(threads, ())
    assert company == Company(domains=frozenset({"birch.example"}))
    assert "x@eu.birch.example" in company
    assert "x@notbirch.example" not in company


def test_a_company_at_a_mail_provider() -> None:
    threads = [[mail(1, sender=f"{name}@gmail.com", to="shop@gmail.com")] for name in ("ann", "bob")]
    assert company_of(threads, ()) == Company(frozenset({"shop@gmail.com"}))
    assert "ann@gmail.com" not in company_of(threads, ())


def test_a_single_thread_is_addressed_to_the_company() -> None:
    asked = mail(1, sender="ann@x.example", to="help@y.example")
    answered = mail(2, sender="help@y.example", to="ann@x.example")
    assert "help@y.example" in company_of([[asked, answered]], ())
    assert company_of([[mail(1, sender="")]], ()) == Company()


def test_the_recipe_names_the_company() -> None:
    company = company_of([], (" Help@Y.example", "@z.example", "w.example"))
    assert all(address in company for address in ("help@y.example", "any@z.example", "any@w.example"))
    assert "other@y.example" not in company
