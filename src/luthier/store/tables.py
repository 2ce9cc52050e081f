"""Every table, in the shape that the newest migration leaves them. Times are seconds since the epoch, UTC."""

from sqlalchemy import JSON, CheckConstraint, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

artefacts = Table(
    "artefacts",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False, index=True),
    Column("path", String),
    Column("summary", JSON, nullable=False),
    Column("environment", JSON(none_as_null=True)),
    Column("format_version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("made_at", Float, nullable=False),
)
"""`created_at` is when this content was made first, `made_at` when it was made last: that one orders listings."""

parents = Table(
    "parents",
    metadata,
    Column("child", ForeignKey("artefacts.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("parent", ForeignKey("artefacts.id", ondelete="RESTRICT"), nullable=False, index=True),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", String, primary_key=True),
    Column("target", ForeignKey("artefacts.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("updated_at", Float, nullable=False),
)

alias_history = Table(
    "alias_history",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("target", String, nullable=False),
    Column("previous", String),
    Column("at", Float, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Only ever appended to. It outlives what it names, so it has no foreign keys."""

requests = Table(
    "requests",
    metadata,
    Column("id", String, primary_key=True),
    Column("created", Float, nullable=False, index=True),
    Column("model", String, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("release", String, index=True),
    Column("messages", JSON, nullable=False),
    Column("answer", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("finish_reason", String),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("first_token_seconds", Float),
    Column("seconds", Float, nullable=False),
)
"""The columns are the fields of `RequestRecord`. A run may be removed while its requests stay: no foreign keys."""

feedback = Table(
    "feedback",
    metadata,
    Column("id", ForeignKey("artefacts.id", ondelete="CASCADE"), primary_key=True),
    Column("request_id", ForeignKey("requests.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("rating", String, CheckConstraint("rating IN ('up', 'down')", name="rating"), nullable=False),
    Column("correction", Text),
    Column("created_at", Float, nullable=False),
)
