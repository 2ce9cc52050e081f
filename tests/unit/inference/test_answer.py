from hypothesis import example, given, settings
from hypothesis import strategies as st

from luthier.core.generation import GenerationRequest
from luthier.inference.answer import INCOMPLETE, Answer

END = -1
LETTERS = "abé€🎻"


def _decode_bytes(tokens):
    """A tokenizer with a token for every byte, such as byte-level BPE falls back to."""
    return bytes(tokens).decode("utf-8", errors="replace")


def _decode_words(tokens):
    """A tokenizer that leaves out the space before the first token, as SentencePiece does; token 0 is special."""
    return " ".join("abcdefgh"[token] for token in tokens if token)


def _answer(decode, max_new_tokens=1000, stop=()):
    return Answer(0, GenerationRequest("base", (), max_new_tokens, stop=stop), 5, decode)


def _pieces(answer, tokens):
    """What is shown after each token, until the answer is finished."""
    pieces = []
    for token in tokens:
        pieces.append(answer.add(token, token == END))
        if answer.finish_reason:
            break
    return pieces


def _expected(text, stop):
    """`text` up to the stop string that is complete first; of several, the one that starts first."""
    for end in range(len(text) + 1):
        places = [place for word in stop if (place := text[:end].find(word)) >= 0]
        if places:
            return text[: min(places)]
    return text


@settings(deadline=None)
@given(st.text(LETTERS, max_size=30), st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3))
@example("aab€", ["ab€"])
@example("xab", ["bz", "ay"])
def test_the_pieces_make_the_text_up_to_the_first_stop_string(text, stop):
    answer = _answer(_decode_bytes, stop=tuple(stop))
    pieces = _pieces(answer, [*text.encode(), END])
    assert "".join(pieces) == _expected(text, stop)
    assert answer.finish_reason == "stop"
    assert INCOMPLETE not in "".join(pieces)


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), max_size=40))
def test_decoding_piece_by_piece_gives_what_decoding_at_once_gives(tokens):
    assert "".join(_pieces(_answer(_decode_words), [*tokens, END])) == _decode_words(tokens)


def test_a_character_of_several_tokens_is_shown_whole():
    assert _pieces(_answer(_decode_bytes), "é🎻!".encode()) == ["", "é", "", "", "", "🎻", "!"]


def test_bytes_that_never_make_a_character_are_shown_once_text_follows():
    assert _pieces(_answer(_decode_bytes), [0xE2, 0x82, ord("a"), ord("b")]) == ["", "", INCOMPLETE + "a", "b"]


def test_an_answer_cut_inside_a_character_ends_before_it():
    answer = _answer(_decode_bytes, max_new_tokens=3)
    assert "".join(_pieces(answer, "aé🎻".encode())) == "aé"
    answer = _answer(_decode_bytes, max_new_tokens=5)
    assert "".join(_pieces(answer, "aé🎻".encode())) == "aé"
    assert (answer.finish_reason, len(answer.tokens)) == ("length", 5)


def test_the_end_token_stops_and_is_no_part_of_the_answer():
    answer = _answer(_decode_bytes)
    assert _pieces(answer, [*b"ok", END]) == ["o", "k", ""]
    assert (answer.finish_reason, bytes(answer.tokens)) == ("stop", b"ok")


def test_as_many_tokens_as_allowed_are_length_and_an_end_token_then_is_stop():
    answer = _answer(_decode_bytes, max_new_tokens=2)
    assert _pieces(answer, b"okay") == ["o", "k"]
    assert answer.finish_reason == "length"
    answer = _answer(_decode_bytes, max_new_tokens=2)
    _pieces(answer, [ord("o"), END])
    assert answer.finish_reason == "stop"


def test_half_a_stop_string_is_held_back_until_it_is_known():
    assert _pieces(_answer(_decode_bytes, stop=("\nUser:",)), b"a\nUb") == ["a", "", "", "\nUb"]
    answer = _answer(_decode_bytes, stop=("\nUser:",))
    assert _pieces(answer, b"a\nUser: b") == ["a", "", "", "", "", "", ""]
    assert answer.finish_reason == "stop"


def test_half_a_stop_string_at_the_end_belongs_to_the_answer():
    answer = _answer(_decode_bytes, max_new_tokens=3, stop=("###",))
    assert "".join(_pieces(answer, b"a##")) == "a##"
    assert answer.finish_reason == "length"


def test_a_stop_string_in_the_last_token_allowed_is_stop():
    answer = _answer(_decode_bytes, max_new_tokens=2, stop=("b",))
    assert "".join(_pieces(answer, b"ab")) == "a"
    assert answer.finish_reason == "stop"


def test_a_long_answer_decodes_only_its_last_tokens():
    decoded = []

    def decode(tokens):
        decoded.append(len(tokens))
        return _decode_bytes(tokens)

    _pieces(_answer(decode), b"x" * 500)
    assert max(decoded) <= 3
