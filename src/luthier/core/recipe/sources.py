"""`data.sources`: where rows come from."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import Section

RowFormat = Literal[
    "preference",
    "thumbs",
    "messages",
    "sharegpt",
    "alpaca",
    "prompt_completion",
    "question_answer",
    "transcript",
    "labelled",
    "text",
    "zendesk",
    "intercom",
    "freshdesk",
    "mail_thread",
    "comment_rows",
]


class SourceSection(Section):
    """Where rows come from, exactly one of `path`, `query` and `hub`, and how to read them."""

    path: str = Field(
        "",
        description="file of any kind that can be read, a folder of them, or a pattern such as raw/**/*.csv",
    )
    query: str = Field("", description="SQL statement that only reads; its rows are saved when the dataset is made")
    database: str = Field(
        "", description="what to query: an SQLAlchemy URL without a password, or $NAME of a variable that holds one"
    )
    hub: str = Field("", description="data set on the Hub, org/name or org/name@revision")
    split: str = Field("", description="split of the Hub data set, e.g. train; empty reads all its files")
    format: RowFormat | None = Field(None, description="how rows are laid out; detected where it is not given")
    columns: Mapping[str, str] = Field(
        default_factory=dict,
        description="name of the expected field -> name in the file, e.g. {prompt: body, completion: reply}",
    )
    thread_by: str = Field(
        "",
        description="column with the ticket's number, in a file with one comment a row; a record is all rows of one",
    )
    agents: tuple[str, ...] = Field(
        (),
        description="of mailboxes, the company's addresses and domains, e.g. [help@shop.example, '@shop.example']; "
        "told from the mails where it is empty",
    )

    @model_validator(mode="after")
    def _come_from_one_place(self) -> "SourceSection":
        if sum(map(bool, (self.path, self.query, self.hub))) != 1:
            raise ValueError("exactly one of path, query and hub must be given")
        if bool(self.query) != bool(self.database):
            raise ValueError("query and database belong together")
        if self.split and not self.hub:
            raise ValueError("split is for a data set of the Hub")
        if self.thread_by and self.format not in (None, "comment_rows"):
            raise ValueError("thread_by makes records of format comment_rows")
        return self
