"""The base model or any run of a project as a model of lm-evaluation-harness (the extra `luthier[harness]`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from luthier.core.errors import EvaluationError
from luthier.core.rows import TokenRow
from luthier.models.adapter import without_adapter
from luthier.models.loading import plain_attention
from luthier.models.losses import RowsLoss
from luthier.models.methods import load_trained
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import run_folder
from luthier.pipeline.project import Project
from luthier.pipeline.serve import resolve_model

try:
    from lm_eval import utils
    from lm_eval.api.model import TemplateLM
except ImportError as error:
    raise EvaluationError(
        f"lm-evaluation-harness cannot be used: {error}", allowed="pip install 'luthier[harness]'"
    ) from error

NEW_TOKENS = 256
"""At most so many where a task does not say."""
CONTEXT = 2048
"""Tokens that a model can read where its configuration does not say."""

Encoded = tuple[object, list[int], list[int]]
"""What is asked, and the tokens of context and continuation."""


class HarnessModel(TemplateLM):  # type: ignore[misc]
    """The released or latest run, or the one named, or the base model, adapter included; text is read as the harness
    writes it, without the recipe's system prompt. Tokens are scored by the same losses as `luthier evaluate` uses.

    Answers are greedy: EvaluationError for tasks that draw them.
    """

    def __init__(self, project: Project, model: str | None = None) -> None:
        super().__init__()
        base = open_base(project)
        self.model = resolve_model(project, base.artefact.id, model)
        is_base = self.model == base.artefact.id
        self._weights = base.load() if is_base else load_trained(run_folder(project, self.model), base.load, base.dtype)
        self._loss = RowsLoss(self._weights)
        self._reporter = project.reporter
        self.tokenizer: Any = base.tokenizer
        config = self._weights.config.get_text_config()
        self.max_length = int(getattr(config, "max_position_embeddings", None) or CONTEXT)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """The token that stands before a text without a context."""
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def tokenizer_name(self) -> str:
        return self.model

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The turns as the tokenizer's own template writes them."""
        text: str = self.tokenizer.apply_chat_template(
            list(chat_history),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Token ids; `add_special_tokens` adds what the tokenizer puts around a text, which is done by default."""
        ids: list[int] = self.tokenizer(string, add_special_tokens=add_special_tokens is not False)["input_ids"]
        return ids

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """The log-probability of whole texts, in windows of what the model can read, each token once."""
        windows: list[Encoded] = []
        counts = []
        for request in requests:
            parts = utils.get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            found = [(None, *utils.make_disjoint_window(part)) for part in parts]
            windows += found
            counts.append(len(found))
        scores = iter(self._loglikelihood_tokens(windows))
        return [sum(next(scores)[0] for _ in range(count)) for count in counts]

    def _loglikelihood_tokens(self, requests: Sequence[Encoded], **_: object) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether the model would have written it."""
        rows = []
        for number, (_asked, context, continuation) in enumerate(requests):
            ids = (context + continuation)[-(self.max_length + 1) :][: self.max_length + 1]
            first = max(1, len(ids) - len(continuation))
            rows.append(TokenRow(str(number), tuple(ids), tuple(place >= first for place in range(len(ids)))))
        by_length = sorted(rows, key=len)
        losses = {loss.row_id: loss for loss in self._loss.row_losses(by_length)}
        self._reporter.say(f"scored {len(rows)} texts")
        return [
            (-losses[row.id].loss_sum, losses[row.id].correct_tokens == losses[row.id].target_tokens) for row in rows
        ]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """Greedy answers, cut before the first of the task's `until`."""
        answers = []
        for number, request in enumerate(requests, start=1):
            context, settings = request.args
            if settings.get("do_sample") or settings.get("temperature"):
                raise EvaluationError("a task that draws its answers cannot be run", allowed="do_sample: false")
            until = settings.get("until") or []
            stops = [until] if isinstance(until, str) else list(until)
            answers.append(self._generate(context, int(settings.get("max_gen_toks", NEW_TOKENS)), stops))
            self._reporter.progress("answering", number, len(requests))
        return answers

    @torch.inference_mode()
    def _generate(self, context: str, most: int, stops: Sequence[str]) -> str:
        causal = without_adapter(self._weights)
        causal.set_attn_implementation(plain_attention(causal))
        ids = torch.tensor([self.tok_encode(context)[-max(1, self.max_length - most) :]])
        written = self._weights.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=most,
            do_sample=False,
            pad_token_id=self.eot_token_id,
            stop_strings=list(stops) or None,
            tokenizer=self.tokenizer,
        )
        text: str = self.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
        places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
        return text[: min(places)] if places else text
