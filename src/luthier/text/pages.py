"""Reports as pages that need nothing else: no script, no font, no network."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined


def fill_page(template: str, **values: object) -> str:
    """A jinja template with the values put in, escaped unless it says `| safe`; `style` holds the style sheet
    that all reports share.

    Raises jinja2.UndefinedError for a value that is missing.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, lstrip_blocks=True)
    style = files("luthier.text").joinpath("page.css").read_text(encoding="utf-8")
    return environment.from_string(template).render(style=style, **values)
