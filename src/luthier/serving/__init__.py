"""The HTTP API: chat completions as OpenAI's clients speak them, feedback, and a server for this machine."""

from luthier.serving.app import create_app
from luthier.serving.catalogue import Catalogue, ServedModel
from luthier.serving.limits import Limits
from luthier.serving.server import running, serve

__all__ = ["Catalogue", "Limits", "ServedModel", "create_app", "running", "serve"]
