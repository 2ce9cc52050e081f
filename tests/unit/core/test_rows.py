"""The records that flow through preparation and training."""

from luthier.core.artefacts import ARTEFACT_TYPES, Artefact, Run
from luthier.core.rows import Origin, Row, TokenRow


def test_plain_text_of_a_row_is_all_that_was_said() -> None:
    origin = Origin("chats.jsonl", 3)
    talk = Row("a", origin, ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello\nthere"}))

    assert talk.plain() == "Hi\nHello\nthere"
    assert Row("b", origin, text="A page.").plain() == "A page."
    assert sorted([Origin("b", 1), Origin("a", 20), Origin("a", 3)])[0] == Origin("a", 3)


def test_token_row_counts_its_targets() -> None:
    row = TokenRow("a", (5, 6, 7), (False, True, True))

    assert (len(row), row.target_tokens) == (3, 2)


def test_every_kind_of_artefact_is_known_by_its_name() -> None:
    assert ARTEFACT_TYPES["run"] is Run
    assert {kind: cls.kind for kind, cls in ARTEFACT_TYPES.items()} == {kind: kind for kind in ARTEFACT_TYPES}
    assert set(ARTEFACT_TYPES.values()) == set(Artefact.__subclasses__())
