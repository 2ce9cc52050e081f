"""Open projects over the shared workspaces, and a reporter that remembers."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

import luthier
from luthier.core.artefacts import Evaluation
from luthier.pipeline.project import Project
from luthier.pipeline.train import Trained

CHECK_SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "check.schema.json"


class Remembering:
    """Keeps all that a `Reporter` was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[str, int, int, str]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        self.steps.append((what, done, total, detail))


@pytest.fixture
def check_schema() -> dict[str, object]:
    """What `luthier check --json` prints, as it is documented."""
    schema: dict[str, object] = json.loads(CHECK_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@pytest.fixture
def reporter() -> Remembering:
    return Remembering()


@pytest.fixture
def prepared(prepared_shop: Path, reporter: Remembering) -> Iterator[Project]:
    with luthier.open_project(prepared_shop, reporter=reporter) as project:
        yield project


@pytest.fixture(scope="module")
def trained_once(
    _prepared_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Trained, Remembering]]:
    """A project, what its training gave, and what the reporter was told: for tests that leave the run as it is."""
    shop = Path(shutil.copytree(_prepared_once, tmp_path_factory.mktemp("trained") / "shop"))
    reporter = Remembering()
    with luthier.open_project(shop, reporter=reporter) as project:
        yield project, luthier.train(project), reporter


@pytest.fixture
def evaluated(evaluated_shop: Path, reporter: Remembering) -> Iterator[Project]:
    with luthier.open_project(evaluated_shop, reporter=reporter) as project:
        yield project


@pytest.fixture
def judge() -> Callable[..., str]:
    """`judge(project, run, "pass")`: the id of an evaluation with that verdict, newer than any other."""
    made = iter(range(1, 100))

    def record(project: Project, run: str, verdict: str, *reasons: str) -> str:
        gates = [{"gate": "loss", "verdict": verdict, "reason": reason} for reason in reasons or ("Measured.",)]
        id = f"evaluation-{next(made):012x}"
        project.registry.add(
            Evaluation(
                id=id,
                parents=(run, project.registry.get(run).parents[1]),
                summary={"evaluation": id, "verdict": verdict, "gates": gates},
            )
        )
        return id

    return record
