"""A judge model behind any OpenAI-compatible URL."""

import json
import os
import time

import httpx

from luthier.core.errors import EvaluationError
from luthier.core.recipe import JudgeSection
from luthier.evaluation import Ask

REPLY_TOKENS = 8
FAILURES_IN_A_ROW = 3
"""After so many prompts without a reply the judge is given up."""
LONGEST_RESPONSE = 1 << 20
"""Bytes; a reply of a few tokens is far shorter, whatever an API says beside it."""


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
            reply = _reply(client, settings, prompt)
        except (httpx.HTTPError, ValueError) as error:
            failures += 1
            if failures == FAILURES_IN_A_ROW:
                raise EvaluationError(
                    f"{failures} prompts in a row had no reply: {error or type(error).__name__}", where=settings.url
                ) from error
            return None
        failures = 0
        return reply

    return ask


def _reply(client: httpx.Client, settings: JudgeSection, prompt: str) -> str:
    """The text of the first choice. Raises httpx.HTTPError or ValueError, which say what is wrong with the response."""
    body = {
        "model": settings.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": REPLY_TOKENS,
    }
    end, read = time.monotonic() + settings.timeout, b""
    with client.stream("POST", "/chat/completions", json=body) as response:
        if not response.is_success:
            raise ValueError(f"it answered with status {response.status_code}")
        for piece in response.iter_bytes():
            read += piece
            # httpx waits so long for each piece: a reply that trickles in would never end.
            if time.monotonic() > end:
                raise ValueError(f"its reply took longer than {settings.timeout:g} seconds")
            if len(read) > LONGEST_RESPONSE:
                raise ValueError(f"its response is longer than {LONGEST_RESPONSE} bytes")
    try:
        text = json.loads(read)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError("its response holds no choice with a message") from error
    if not isinstance(text, str):
        raise ValueError("its reply holds no text")
    return text
