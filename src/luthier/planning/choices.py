"""Whether a training fits into memory, and the choices that would make it fit."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from luthier.core.recipe import AdapterSection, BaseQuantization
from luthier.core.sizes import gigabytes
from luthier.planning.memory import QUANTIZED, Way
from luthier.planning.setup import Setup
from luthier.planning.trained import trained_by

Change = Callable[[Way], Way]


def memory_advice(setup: Setup, free: int, factor: float = 1.0) -> list[str]:
    """Whether training fits into so many free bytes, and the choices that would make it fit.

    `factor` is what a probe found of that which grows with the batch, relative to the calculation.
    """
    need = f"Training needs about {gigabytes(setup.memory.corrected(factor).total)}"
    have = f"of memory; {gigabytes(free)} are free"
    if fits(setup, free, factor):
        return [f"{need} {have}: it fits."]
    choices = [f"It fits with {text}." for text, _ in fitting_choices(setup, free, factor)]
    nothing = "No choice here makes it fit: take a smaller base model or a machine with more memory."
    return [f"{need} {have}: it does not fit.", *(choices or [nothing])]


def fits(setup: Setup, free: int, factor: float = 1.0) -> bool:
    return setup.memory.corrected(factor).total <= free


def fitting_choices(setup: Setup, free: int, factor: float = 1.0) -> list[tuple[str, Setup]]:
    """Changes after each of which alone a training fits, in words and made; or, where none does, all of them together;
    or nothing."""
    alone = [(text, changed) for text, changed in _lighter(setup, free, factor) if fits(changed, free, factor)]
    return alone or _all_together(setup, free, factor)


def _lighter(setup: Setup, free: int, factor: float) -> list[tuple[str, Setup]]:
    """Ways to need less; those that cost least come first."""
    way, forward = setup.way, setup.forward
    choices: list[tuple[str, Setup]] = []
    if (tokens := _fitting_tokens(setup, free, factor)) >= forward.row_tokens:
        less = (
            f"at most {tokens:,} tokens in a forward pass instead of {forward.tokens:,}: lower "
            "training.per_device_train_batch_size (and raise gradient_accumulation_steps), or data.max_length"
        )
        choices.append((less, replace(setup, forward=forward.scaled(tokens))))
    if not way.recompute:
        again = replace(setup, way=replace(way, recompute=True))
        choices.append(("training.gradient_checkpointing: true, which takes a forward pass more", again))
    if way.optim != "adamw_8bit":
        bytes_ = replace(setup, way=replace(way, optim="adamw_8bit"))
        choices.append(("training.optim: adamw_8bit, which keeps moments in bytes", bytes_))
    if way.dtype == "float32":
        narrow = replace(setup, way=replace(way, dtype="bfloat16"))
        choices.append(("model.dtype: bfloat16, on a processor that multiplies it", narrow))
    if setup.trained.beside:
        choices += [
            (f"{_field(name)}, {QUANTIZED[name].price}", replace(setup, way=quantized))
            for name in setup.quantizations
            if (quantized := _quantized(way, name)) != way
        ]
    if not setup.trained.beside:
        choices.append(("adapter.method: lora", _with_lora(setup)))
    return choices


def _all_together(setup: Setup, free: int, factor: float) -> list[tuple[str, Setup]]:
    """One change after the other until it fits, those first that cost least."""
    made: list[str] = []
    if not setup.trained.beside:
        setup, made = _with_lora(setup), [*made, "adapter.method: lora"]
    widest, *narrower = QUANTIZED
    ways: list[tuple[str, Change]] = [
        ("model.dtype: bfloat16", lambda way: replace(way, dtype="bfloat16")),
        ("training.gradient_checkpointing: true", lambda way: replace(way, recompute=True)),
        *_quantizing(setup, [widest]),
        ("training.optim: adamw_8bit", lambda way: replace(way, optim="adamw_8bit")),
        *_quantizing(setup, narrower),
    ]
    for text, change in ways:
        way = change(setup.way)
        if setup.way == way:
            continue
        if way.quantization != setup.way.quantization:
            made = [one for one in made if one not in map(_field, QUANTIZED)]
        setup, made = replace(setup, way=way), [*made, text]
        tokens = _fitting_tokens(setup, free, factor)
        if tokens >= setup.forward.tokens:
            return [(f"all of these together: {', '.join(made)}", setup)]
        if tokens >= setup.forward.row_tokens:
            made.append(f"at most {tokens:,} tokens in a forward pass instead of {setup.forward.tokens:,}")
            text = f"all of these together: {', '.join(made)}"
            return [(text, replace(setup, forward=setup.forward.scaled(tokens)))]
    return []


def _quantizing(setup: Setup, names: Iterable[BaseQuantization]) -> list[tuple[str, Change]]:
    """Those of these ways to keep base weights in fewer bits that the recipe allows."""
    return [(_field(name), partial(_quantized, quantization=name)) for name in names if name in setup.quantizations]


def _field(quantization: BaseQuantization) -> str:
    return f"model.quantization: {quantization}"


def _quantized(way: Way, quantization: BaseQuantization) -> Way:
    """With base weights in so few bits, unless they are in as few already."""
    now = way.quantization
    narrower = now is None or QUANTIZED[quantization].bytes < QUANTIZED[now].bytes
    return replace(way, quantization=quantization) if narrower else way


def _with_lora(setup: Setup) -> Setup:
    lora = AdapterSection()
    return replace(setup, trained=trained_by(setup.shape, lora), r=lora.r, quantizations=tuple(QUANTIZED))


def _fitting_tokens(setup: Setup, free: int, factor: float) -> int:
    """Tokens of a forward pass that fit, at most as many as it has now."""
    low, high = 0, setup.forward.tokens
    while low < high:
        middle = (low + high + 1) // 2
        changed = replace(setup, forward=setup.forward.scaled(middle))
        low, high = (middle, high) if fits(changed, free, factor) else (low, middle - 1)
    return low
