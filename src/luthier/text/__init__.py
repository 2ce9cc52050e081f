"""Pure functions on strings."""

from luthier.text.automatic import has_automatic_headers, is_automatic
from luthier.text.facts import Fact, extract_facts, recalls, wrong_facts
from luthier.text.html import has_html, html_to_text
from luthier.text.mail import cut_mail, mail_text
from luthier.text.mail_html import html_mail_to_text
from luthier.text.normalise import normalise
from luthier.text.overlap import count_words, jaccard, ngrams, spaced_words, spread_words, words
from luthier.text.personal.check_digits import luhn
from luthier.text.redact import Redaction, RedactionRules, redact, redactor
from luthier.text.subjects import bare_subject, is_reply

__all__ = [
    "Fact",
    "Redaction",
    "RedactionRules",
    "bare_subject",
    "count_words",
    "cut_mail",
    "extract_facts",
    "has_automatic_headers",
    "has_html",
    "html_mail_to_text",
    "html_to_text",
    "is_automatic",
    "is_reply",
    "jaccard",
    "luhn",
    "mail_text",
    "ngrams",
    "normalise",
    "recalls",
    "redact",
    "redactor",
    "spaced_words",
    "spread_words",
    "words",
    "wrong_facts",
]
