"""Messages that no person wrote: receipts, absence notes, failed deliveries, and the lines that help desks add."""

import re
from collections.abc import Mapping

_LONGEST = 1_500
"""Characters: a longer message is written by somebody, whatever it begins with."""
_HEAD = 400
_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:(?:re|aw|fwd?)\s*:\s*)*(?:automatic reply|auto(?:mated)?[ -]?(?:reply|response)|out of (?:the )?office"
    r"|abwesenheit(?:snotiz)?|automatische antwort|réponse automatique|absence du bureau|respuesta automática"
    r"|automatisch antwoord|risposta automatica|resposta automática|undeliver(?:able|ed)\b|unzustellbar"
    r"|delivery (?:status notification|failure|has failed)|mail delivery (?:failed|system)|returned mail|failure"
    r" notice)",
    re.IGNORECASE,
)
_SAYS_SO = re.compile(
    r"\b(?:this is an? (?:automat(?:ed|ic)|auto-?generated|system-generated) (?:\w+ )?(?:message|reply|response|e-?mail"
    r"|notification|acknowledge?ment)|(?:this|the following) (?:message|e-?mail) (?:was|is|has been) (?:sent "
    r"|generated )?"
    r"automatically|(?:please )?do not (?:reply|respond) to this (?:automated|automatic)"
    r"|dies ist eine automatische? (?:\w+ )?(?:antwort|nachricht|e-?mail)"
    r"|diese (?:nachricht|e-?mail) wurde automatisch|ceci est (?:un message|une réponse) automatique"
    r"|(?:este es|esto es) un(?:a)? (?:mensaje|respuesta) automátic[ao]|dit is een automatisch(?:e)? \w+"
    r"|questo è un messaggio automatico|esta é uma (?:mensagem|resposta) automática)",
    re.IGNORECASE,
)
_AWAY = re.compile(
    r"\b(?:i(?: am|'m|’m| will be)(?: currently| now)? (?:out of (?:the )?office|away from (?:the |my )?(?:office"
    r"|desk)|on"
    r" (?:annual |parental |maternity )?(?:leave|holiday|vacation))|ich bin (?:derzeit|zurzeit|momentan|bis|vom"
    r"|ab)\b[^\n]{0,60}"
    r"(?:nicht (?:im (?:büro|haus)|erreichbar)|abwesend|im urlaub|außer haus)|je suis (?:actuellement"
    r" )?(?:absente?|en congés?)"
    r"|(?:estoy|estaré) (?:fuera de la oficina|de vacaciones)|ik ben (?:afwezig|niet aanwezig|met vakantie)"
    r"|sono (?:fuori ufficio|in ferie|assente)|estou (?:fora do escritório|de férias|ausente))",
    re.IGNORECASE,
)
_WILL_ANSWER = re.compile(
    r"\b(?:will (?:reply|respond|answer|get back)|limited access|(?:for|in) urgent|if (?:it|this|your \w+) is"
    r" urgent|no access to"
    r" (?:my )?e-?mail|your (?:message|e-?mail)|ihre (?:nachricht|e-?mail|mail)|dringenden|votre (?:message"
    r"|courriel)|urgence"
    r"|su (?:mensaje|correo)|urgentes?|uw (?:bericht|e-?mail)|dringende|suo messaggio|urgenti|sua mensagem)",
    re.IGNORECASE,
)
_RECEIVED = re.compile(
    r"(?:(?:we(?:'ve|’ve| have)(?: just)?|have) received your (?:\w+ )?(?:request|ticket|message|e-?mail|enquiry"
    r"|inquiry|query)"
    r"|your (?:support )?(?:request|ticket|enquiry|inquiry|message) (?:\(?#?\d+\)? )?(?:has been|was) (?:received"
    r"|created|logged)"
    r"|a (?:new )?(?:support )?(?:request|ticket|case) (?:\S+ )?(?:has been|was) (?:created|opened)"
    r"|wir haben ihre (?:anfrage|nachricht|e-?mail) (?:\(?#?\d+\)? )?erhalten"
    r"|ihre (?:anfrage|nachricht) (?:\(?#?\d+\)? )?ist (?:bei uns )?eingegangen"
    r"|nous avons bien reçu votre (?:demande|message)|hemos recibido (?:su|tu) (?:solicitud|mensaje|consulta)"
    r"|we hebben (?:uw|je) (?:bericht|aanvraag|verzoek) ontvangen|abbiamo ricevuto la (?:tua|sua|vostra) richiesta"
    r"|recebemos (?:a sua|o seu|sua|seu) (?:solicitação|pedido|mensagem))",
    re.IGNORECASE,
)
_PROMISES = re.compile(
    r"(?:\(?#\s?\d{2,}|\(\d{3,}\)|being reviewed|as soon as (?:possible|we can)|within \w+ (?:\w+ )?(?:hours?"
    r"|days?)|our team will"
    r"|get back to you|ticket (?:number|id)|reference (?:number|is)|schnellstmöglich|so schnell wie möglich"
    r"|innerhalb von"
    r"|bearbeit|dans les (?:plus brefs|meilleurs) délais|lo antes posible|zo (?:snel|spoedig) mogelijk|al più presto"
    r"|o mais breve|em breve)",
    re.IGNORECASE,
)
_EVENT = re.compile(
    r"\s*(?:request #?\d+ .{0,200}was closed and merged into this request|this (?:request|ticket|conversation)"
    r" (?:was|has been)"
    r" (?:closed|merged|solved|reopened)\b.{0,120}$|.{0,200}\bmerged (?:ticket|into|with)\b.{0,20}#?\d+"
    r"|(?:your|this) (?:request|ticket) (?:\(?#?\d+\)? )?has been (?:deemed )?(?:solved|resolved|closed)\b"
    r"|how would you rate the support you received\?)",
    re.IGNORECASE,
)
_BOUNCE = re.compile(
    r"\b(?:delivery to the following recipients? failed|message (?:could not|couldn't|wasn't) (?:be )?delivered"
    r"|mail delivery (?:system|subsystem|failed)|address not found|this is the mail system at host"
    r"|undelivered mail returned to sender|konnte nicht zugestellt werden)",
    re.IGNORECASE,
)
_ADDED_LINE = re.compile(
    r"^[ \t>]*(?:your request \(#?\d+\) has been (?:updated|received)[^\n]*|to add additional comments, (?:please"
    r" )?reply to this"
    r" e-?mail[^\n]*|(?:you can )?(?:add a comment by replying|reply) to this e-?mail (?:or|to add)[^\n]*"
    r"|this e-?mail is a service from [^\n]*|(?:delivered|powered|sent) (?:by|via) (?:zendesk|freshdesk|intercom)[^\n]*"
    r"|\[[A-Z0-9]{5,6}-[A-Z0-9]{4,5}\]|ticket:? (?:id: ?)?https?://\S+|ticket(?: id| number)?: ?#?\d+"
    r"|\[(?:ticket|case)[ -]?(?:id)?[:# ]*\d+\]|\[(?:cid|image|inline image):? ?[^\]\n]*\]|\[external(?: e-?mail)?\]"
    r"|(?:caution|warning|attention|achtung): ?(?:this (?:e-?mail|message) (?:originated|was sent|came) (?:from"
    r" )?(?:from )?outside"
    r"|external e-?mail|diese e-?mail (?:kommt|stammt) von)[^\n]*"
    r"|ihre anfrage \(#?\d+\) wurde (?:aktualisiert|bearbeitet)[^\n]*"
    r"|(?:um weitere kommentare|fügen sie einen kommentar)[^\n]{0,40}(?:antworten|hinzu)[^\n]*)[ \t]*(?:\n|\Z)",
    re.MULTILINE | re.IGNORECASE,
)


def is_automatic(text: str, subject: str = "") -> bool:
    """Whether a message is a receipt, an absence note, a failed delivery or an event that a help desk logged.

    Needs two signs (what it says happened, and what it promises) unless it says itself that it is automatic; long
    messages are never taken for one. People who ask something in passing ("I am out of the office, can you …?") pass.
    """
    if subject and _AUTOMATIC_SUBJECT.match(subject):
        return True
    if len(text) > _LONGEST:
        return False
    head = text[:_HEAD]
    if _SAYS_SO.search(text) or _EVENT.match(head) or _BOUNCE.search(head):
        return True
    if "?" in text:
        return False
    return bool(
        (_AWAY.search(head) and _WILL_ANSWER.search(text)) or (_RECEIVED.search(head) and _PROMISES.search(text))
    )


def has_automatic_headers(headers: Mapping[str, str]) -> bool:
    """Whether the headers of a mail, by name in lower case, tell that a program sent it (RFC 3834, section 5)."""
    submitted = headers.get("auto-submitted", "no").strip().lower()
    return (
        not submitted.startswith("no")
        or any(name in headers for name in ("x-autoreply", "x-autorespond", "x-auto-response", "x-failed-recipients"))
        or headers.get("precedence", "").strip().lower() in ("bulk", "junk", "auto_reply")
        or "mailer-daemon" in headers.get("from", "").lower()
        or "multipart/report" in headers.get("content-type", "").lower()
    )


def cut_added_lines(text: str) -> str:
    """The text without the lines that help desks and mail gates add: ticket numbers, footers, warnings, empty"
    " pictures."""
    return _ADDED_LINE.sub("", text)
