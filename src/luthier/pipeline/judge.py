"""A judge model behind any OpenAI-compatible URL."""

import os

import httpx

from luthier.core.errors import EvaluationError
from luthier.core.recipe import JudgeSection
from luthier.evaluation import Ask

REPLY_TOKENS = 8
FAILURES_IN_A_ROW = 3
"""After so many prompts without a reply the judge is given up."""


def open_judge(settings: JudgeSection, transport: httpx.BaseTransport | None = None) -> Ask:
    """A function from a prompt to the judge's reply, None where it failed or took longer than `timeout` seconds.

    Raises EvaluationError for a key that is not set; the function does when three prompts in a row had no reply.
    """
    headers = {}
    if settings.key_env is not None:
        key = os.environ.get(settings.key_env)
        if not key:
            raise EvaluationError(f"the environment variable {settings.key_env} is not set", where="evaluation.judge")
        headers["Authorization"] = f"Bearer {key}"
    client = httpx.Client(
        base_url=settings.url.rstrip("/"), headers=headers, timeout=settings.timeout, transport=transport
    )
    failures = 0

    def ask(prompt: str) -> str | None:
        nonlocal failures
        try:
            reply = _reply(client, settings.model, prompt)
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            failures += 1
            if failures == FAILURES_IN_A_ROW:
                raise EvaluationError(
                    f"{failures} prompts in a row had no reply: {error or type(error).__name__}", where=settings.url
                ) from error
            return None
        failures = 0
        return reply

    return ask


def _reply(client: httpx.Client, model: str, prompt: str) -> str:
    """The text of the first choice. Raises what is wrong with the response."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": REPLY_TOKENS,
    }
    response = client.post("/chat/completions", json=body)
    response.raise_for_status()
    text = response.json()["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError("the reply holds no text")
    return text
