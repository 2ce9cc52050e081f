"""docs/reference/cli.md is what the script writes, and names every command, option and JSON field."""

import runpy
from pathlib import Path

import pytest
from typer.main import get_command

from luthier.cli.app import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "write_cli_reference.py"))
COMMANDS = dict(SCRIPT["commands"](get_command(app)))


def section(name):
    return PAGE.partition(f"## luthier {name}\n")[2].partition("\n## luthier ")[0]


def test_the_page_is_up_to_date():
    assert SCRIPT["reference"]() == PAGE, "run: python scripts/write_cli_reference.py > docs/reference/cli.md"


def test_the_commands_are_those_of_the_life_cycle():
    assert set(COMMANDS) == {
        *(
            "demo",
            "init",
            "doctor",
            "prepare",
            "data show",
            "data tokens",
            "data stats",
            "data why",
            "data export",
            "data diff",
            "data leakage",
            "check",
            "plan",
            "train",
            "pretrain",
            "evaluate",
            "compose",
            "export",
        ),
        *("chat", "classify", "serve", "release promote", "monitor"),
        *("tokenizer train", "tokenizer report", "tokenizer extend"),
        *("registry list", "registry show", "registry lineage", "registry rm", "registry gc"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_takes(name):
    text = section(name)
    assert COMMANDS[name].help in text
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert parameter.help in text
        for spelling in parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]:
            assert spelling in text


def test_the_fields_of_every_json_are_listed():
    with_json = {name for name, command in COMMANDS.items() if any("--json" in each.opts for each in command.params)}
    assert with_json == set(SCRIPT["JSON_FIELDS"])
    for name, fields in SCRIPT["JSON_FIELDS"].items():
        assert all(f"| `{field}` |" in section(name) for field in fields)
