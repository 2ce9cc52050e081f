"""The formats of help desks, which are tried before those of plain files."""

from collections.abc import Mapping

from luthier.core.recipe import RowFormat
from luthier.data.content import Format
from luthier.data.helpdesk.comment_rows import COMMENT_ROWS
from luthier.data.helpdesk.freshdesk import FRESHDESK
from luthier.data.helpdesk.intercom import INTERCOM
from luthier.data.helpdesk.mail_thread import MAIL_THREAD
from luthier.data.helpdesk.zendesk import ZENDESK

HELPDESK_FORMATS: Mapping[RowFormat, Format] = {
    "freshdesk": FRESHDESK,
    "zendesk": ZENDESK,
    "intercom": INTERCOM,
    "mail_thread": MAIL_THREAD,
    "comment_rows": COMMENT_ROWS,
}
