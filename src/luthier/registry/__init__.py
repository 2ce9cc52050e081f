"""What exists, what it is called, and what came from what."""

from luthier.registry.aliases import Alias, AliasChange
from luthier.registry.catalog import Registry
from luthier.registry.environment import capture
from luthier.registry.garbage import Garbage, collect_garbage
from luthier.registry.lineage import Lineage, Node
from luthier.registry.lineage_text import render_lineage

__all__ = [
    "Alias",
    "AliasChange",
    "Garbage",
    "Lineage",
    "Node",
    "Registry",
    "capture",
    "collect_garbage",
    "render_lineage",
]
