"""From raw support logs to a fine-tuned, served and monitored chatbot.

    import luthier

    with luthier.open_project("shop") as project:
        luthier.prepare(project)
        run = luthier.train(project)
        print(luthier.evaluate(project, run.run).report())

Each function is the command of the same name. Names are loaded when they are first used, so that importing luthier
costs nothing.
"""

from typing import TYPE_CHECKING, Any

from luthier.core.errors import GateRefused, LuthierError
from luthier.core.importing import import_large

if TYPE_CHECKING:
    from luthier.pipeline.chat import open_chat
    from luthier.pipeline.check import check
    from luthier.pipeline.classify import classify
    from luthier.pipeline.compare import compare
    from luthier.pipeline.compose import compose
    from luthier.pipeline.datasets import dataset_stats, diff, dropped_records, export_dataset, leakage, show_rows
    from luthier.pipeline.demo import demo
    from luthier.pipeline.doctor import doctor
    from luthier.pipeline.encoder import open_embed
    from luthier.pipeline.evaluate import evaluate
    from luthier.pipeline.export import export
    from luthier.pipeline.init import init, init_from
    from luthier.pipeline.monitor import monitor
    from luthier.pipeline.plan import plan, write_proposals
    from luthier.pipeline.prepare import prepare
    from luthier.pipeline.project import open_project
    from luthier.pipeline.registry import lineage, list_artefacts, remove_artefact, remove_garbage, show_artefact
    from luthier.pipeline.release import promote
    from luthier.pipeline.serve import background_server, serve
    from luthier.pipeline.tokenizer import extend_vocabulary, report_fertility, train_tokenizer
    from luthier.pipeline.tokens import show_tokens
    from luthier.pipeline.train import pretrain, train

__all__ = [
    "GateRefused",
    "LuthierError",
    "background_server",
    "check",
    "classify",
    "compare",
    "compose",
    "dataset_stats",
    "demo",
    "diff",
    "doctor",
    "dropped_records",
    "evaluate",
    "export",
    "export_dataset",
    "extend_vocabulary",
    "init",
    "init_from",
    "leakage",
    "lineage",
    "list_artefacts",
    "monitor",
    "open_chat",
    "open_embed",
    "open_project",
    "plan",
    "prepare",
    "pretrain",
    "promote",
    "remove_artefact",
    "remove_garbage",
    "report_fertility",
    "serve",
    "show_artefact",
    "show_rows",
    "show_tokens",
    "train",
    "train_tokenizer",
    "write_proposals",
]

_HOMES = {
    "background_server": "serve",
    "check": "check",
    "classify": "classify",
    "compare": "compare",
    "compose": "compose",
    "dataset_stats": "datasets",
    "demo": "demo",
    "diff": "datasets",
    "doctor": "doctor",
    "dropped_records": "datasets",
    "evaluate": "evaluate",
    "export": "export",
    "export_dataset": "datasets",
    "extend_vocabulary": "tokenizer",
    "init": "init",
    "init_from": "init",
    "leakage": "datasets",
    "lineage": "registry",
    "list_artefacts": "registry",
    "monitor": "monitor",
    "open_chat": "chat",
    "open_embed": "encoder",
    "open_project": "project",
    "plan": "plan",
    "prepare": "prepare",
    "pretrain": "train",
    "promote": "release",
    "remove_artefact": "registry",
    "remove_garbage": "registry",
    "report_fertility": "tokenizer",
    "serve": "serve",
    "show_artefact": "registry",
    "show_rows": "datasets",
    "show_tokens": "tokens",
    "train": "train",
    "train_tokenizer": "tokenizer",
    "write_proposals": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'luthier' has no attribute {name!r}")
    return getattr(import_large(f"luthier.pipeline.{_HOMES[name]}"), name)
