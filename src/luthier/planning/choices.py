"""Whether a training fits into memory, and the choices that would make it fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from luthier.core.recipe import AdapterSection, BaseQuantization
from luthier.core.sizes import gigabytes
from luthier.planning.memory import Way
from luthier.planning.setup import Setup
from luthier.planning.trained import trained_by

INT8, NF4 = "model.quantization: int8", "model.quantization: nf4"


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
        prices = {INT8: "which is slower", NF4: "which is slower and needs the extra nf4"}
        choices += [
            (f"{name}, {prices[name]}", replace(setup, way=change(way)))
            for name, change in _quantizing(setup).items()
            if change(way) != way
        ]
    if not setup.trained.beside:
        choices.append(("adapter.method: lora", _with_lora(setup)))
    return choices


def _all_together(setup: Setup, free: int, factor: float) -> list[tuple[str, Setup]]:
    """One change after the other until it fits, those first that cost least."""
    made: list[str] = []
    if not setup.trained.beside:
        setup, made = _with_lora(setup), [*made, "adapter.method: lora"]
    ways: list[tuple[str, Callable[[Way], Way]]] = [
        ("model.dtype: bfloat16", lambda way: replace(way, dtype="bfloat16")),
        ("training.gradient_checkpointing: true", lambda way: replace(way, recompute=True)),
        (INT8, _int8),
        ("training.optim: adamw_8bit", lambda way: replace(way, optim="adamw_8bit")),
        (NF4, _nf4),
    ]
    refused = {INT8, NF4} - set(_quantizing(setup))
    for name, change in ways:
        way = change(setup.way)
        if setup.way == way or name in refused:
            continue
        before = [one for one in made if (one, name) != (INT8, NF4)]
        setup, made = replace(setup, way=way), [*before, name]
        tokens = _fitting_tokens(setup, free, factor)
        if tokens >= setup.forward.tokens:
            return [(f"all of these together: {', '.join(made)}", setup)]
        if tokens >= setup.forward.row_tokens:
            made.append(f"at most {tokens:,} tokens in a forward pass instead of {setup.forward.tokens:,}")
            text = f"all of these together: {', '.join(made)}"
            return [(text, replace(setup, forward=setup.forward.scaled(tokens)))]
    return []


def _quantizing(setup: Setup) -> dict[str, Callable[[Way], Way]]:
    """What the recipe allows of the ways to keep base weights in fewer bits."""
    changes: dict[BaseQuantization, tuple[str, Callable[[Way], Way]]] = {"int8": (INT8, _int8), "nf4": (NF4, _nf4)}
    return dict(changes[name] for name in setup.quantizations)


def _int8(way: Way) -> Way:
    return way if way.quantization else replace(way, quantization="int8")


def _nf4(way: Way) -> Way:
    return replace(way, quantization="nf4")


def _with_lora(setup: Setup) -> Setup:
    lora = AdapterSection()
    every = get_args(BaseQuantization)
    return replace(setup, trained=trained_by(setup.shape, lora), r=lora.r, quantizations=every)


def _fitting_tokens(setup: Setup, free: int, factor: float) -> int:
    """Tokens of a forward pass that fit, at most as many as it has now."""
    low, high = 0, setup.forward.tokens
    while low < high:
        middle = (low + high + 1) // 2
        changed = replace(setup, forward=setup.forward.scaled(middle))
        low, high = (middle, high) if fits(changed, free, factor) else (low, middle - 1)
    return low
