"""Artefacts with their parents, aliases, requests and feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artefacts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("path", sa.String()),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON()),
        sa.Column("format_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artefacts"),
    )
    op.create_index("ix_artefacts_kind", "artefacts", ["kind"])
    op.create_table(
        "parents",
        sa.Column("child", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["child"], ["artefacts.id"], name="fk_parents_child", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["parent"], ["artefacts.id"], name="fk_parents_parent", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("child", "position", name="pk_parents"),
    )
    op.create_index("ix_parents_parent", "parents", ["parent"])
    _create_aliases()
    _create_requests()


def _create_aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["target"], ["artefacts.id"], name="fk_aliases_target", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("name", name="pk_aliases"),
    )
    op.create_index("ix_aliases_target", "aliases", ["target"])
    op.create_table(
        "alias_history",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("previous", sa.String()),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_alias_history"),
    )
    op.create_index("ix_alias_history_name", "alias_history", ["name"])


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("release", sa.String()),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.String()),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("first_token_seconds", sa.Float()),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    for column in ("created", "run", "release"):
        op.create_index(f"ix_requests_{column}", "requests", [column])
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("rating", sa.String(), nullable=False),
        sa.Column("correction", sa.Text()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.CheckConstraint("rating IN ('up', 'down')", name="ck_feedback_rating"),
        sa.ForeignKeyConstraint(["id"], ["artefacts.id"], name="fk_feedback_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_feedback_request_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_request_id", "feedback", ["request_id"])
