import pytest

from luthier.text.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot provide that information.",
        "Unfortunately, I am unable to assist you with this request.",
        "I don't know.",
        "Sorry, I do not know when your parcel arrives. A colleague will tell you.",
        "As an AI language model, I don't have access to your orders.",
        "I am not able to give legal advice.",
        "We're not allowed to share the address of another customer.",
        "I have no information about that product.",
        "I'm afraid I can't do that.",
        "I am not sure, let me ask a colleague.",
        "My apologies, but I cannot answer this.",
        "I don't have any information on this.",
    ],
)
def test_refusals(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "We cannot deliver on Sundays.",
        "I'm sorry to hear that. You can return the chair within 30 days.",
        "Unfortunately the lamp is sold out. It comes back in May.",
        "You cannot cancel after 90 minutes, but you can return it for free.",
        "If you don't know your order number, look into the e-mail.",
        "I don't know if you saw it, but your refund is on its way.",
        "We can help with that: please send a photo.",
        "The desk cannot be dismantled.",
        "I have sent you the details by e-mail.",
        "We have no shop in Leeds, only in Bristol.",
        "The order was placed. " * 12 + "I can't help with that.",
    ],
)
def test_answers_that_are_none(answer):
    assert not is_refusal(answer)
