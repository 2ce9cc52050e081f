"""Answers that decline: the model will not, cannot or does not know. English."""

import re

_APOLOGY = (
    r"(?:(?:(?:i am|i'm|we are|we're) (?:very |so |truly |really )?(?:sorry|afraid))|sorry|unfortunately|my apologies"
    r"|i apologi[sz]e)"
)
_UNABLE = (
    r"(?:(?:i|we) (?:can't|cannot|can not|could not|couldn't|won't|will not|am unable|are unable|am not able"
    r"|are not able|am not allowed|do not have|don't have|have no|am not permitted|must decline|do not feel|don't feel)"
    r"|(?:i'm|we're) (?:unable|not able|not allowed|not permitted))"
)
_ACT = (
    r"(?:help|assist|answer|provide|give|share|disclose|comply|fulfil|fulfill|discuss|advise|say|tell|comment|do that"
    r"|do this|information|details|access|knowledge|an answer|offer)"
)
_REFUSALS = re.compile(
    rf"\b{_UNABLE}(?: \w+){{0,4}}? {_ACT}\b"
    r"|\b(?:i|we) (?:do not|don't) know\b(?! (?:if|whether) you)"
    r"|\b(?:i'm|i am) not sure\b"
    r"|\bas an? (?:ai|artificial intelligence|language model|large language model|digital assistant)\b"
    r"|\b(?:i|we) (?:have|'ve) no (?:idea|information)\b"
    rf"|^{_APOLOGY},? (?:but )?(?:i|we) (?:can't|cannot|can not|won't|am unable|are unable)\b"
)


def is_refusal(answer: str) -> bool:
    """Whether the first two hundred characters of an answer say that the question will not or cannot be answered.

    `I'm sorry, but I can't help with that`, `I don't know`, `As an AI …`. To say that the company does not do
    something (`We cannot deliver on Sundays`) is an answer.
    """
    start = " ".join(answer[:200].casefold().replace("’", "'").split())
    return _REFUSALS.search(start) is not None
