"""Delivery of one notification to one receiver; says why one failed, and shows neither secret nor path of a URL."""

from __future__ import annotations

import email.utils
import json
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import urlsplit

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.network.transport import Transport
from bpci_node.network.wire import JSON
from bpci_node.runtime.alerts.config import DeadMan, Mail, Ntfy, Receiver, Webhook
from bpci_node.runtime.alerts.message import Message

TIMEOUT_SECONDS = 20.0
"""Time that one delivery may take; Alertmanager gives up on the relay later than this."""
_REPLY_BYTES = 65_536
_PRIORITY = {"info": 3, "warning": 4, "critical": 5}
_TAG = {"info": "information_source", "warning": "warning", "critical": "rotating_light"}


def deliver(receiver: Receiver, message: Message, body: bytes) -> str | None:
    """Deliver a notification; return why not everybody behind the receiver got it, ``None`` if all did.

    Args:
        message: what a person reads of it.
        body: as Alertmanager sent it.
    Raises:
        UnreachableError: it did not arrive, with the reason (``unreachable.receiver``).
    """
    match receiver:
        case Mail():
            return _send_mail(receiver, message)
        case Webhook():
            _request("POST", receiver.url, content=body, token=receiver.token)
        case Ntfy():
            content = json.dumps(ntfy_message(receiver, message)).encode()
            _request("POST", receiver.url, content=content, token=receiver.token)
        case DeadMan():
            _request("GET", receiver.url, content=None, token=None)
    return None


def ntfy_message(receiver: Ntfy, message: Message) -> dict[str, object]:
    """Return a message as ntfy takes it.

    Source: ntfy, "Publish as JSON".
    """
    over = not message.is_firing
    return {
        "topic": receiver.topic,
        "title": message.title[:250],
        "message": message.text[:3500],
        "priority": 3 if over else _PRIORITY[message.severity],
        "tags": ["white_check_mark" if over else _TAG[message.severity]],
    }


def mail_message(receiver: Mail, message: Message) -> EmailMessage:
    """Return a message as a letter."""
    letter = EmailMessage()
    letter["From"] = receiver.sender
    letter["To"] = ", ".join(receiver.to)
    letter["Subject"] = message.title[:250]
    letter["Date"] = email.utils.localtime()
    letter["Message-ID"] = email.utils.make_msgid(domain=receiver.sender.partition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    return letter


def _send_mail(receiver: Mail, message: Message) -> str | None:
    where = f"the mail server {receiver.server} port {receiver.port}"
    context = ssl.create_default_context()
    try:
        if receiver.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                receiver.server, receiver.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(receiver.server, receiver.port, timeout=TIMEOUT_SECONDS)
        try:
            if receiver.security == "starttls":
                connection.starttls(context=context)
            if receiver.user is not None and receiver.password is not None:
                connection.login(receiver.user, receiver.password)
            refused = connection.send_message(mail_message(receiver, message), receiver.sender, list(receiver.to))
            # The server has taken the letter: a farewell that fails is no reason to send it again and again.
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
        finally:
            connection.close()
    except smtplib.SMTPAuthenticationError as error:
        raise _failed(f"{where} refused user or password (status {error.smtp_code})") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise _failed(f"{where} refused every recipient") from error
    except smtplib.SMTPResponseException as error:
        raise _failed(f"{where} refused the message (status {error.smtp_code})") from error
    except smtplib.SMTPNotSupportedError as error:
        raise _failed(f"{where} does not offer what is configured (encryption or sign-in)") from error
    except smtplib.SMTPException as error:
        raise _failed(f"{where} broke off") from error
    except ssl.SSLError as error:
        raise _failed(f"no trusted TLS connection to {where}: {error.reason}") from error
    except (OSError, UnicodeError) as error:
        raise _failed(f"{where} could not be reached: {getattr(error, 'strerror', None) or 'no answer'}") from error
    return f"{where} refused {len(refused)} of {len(receiver.to)} recipients" if refused else None


def _request(method: str, url: str, *, content: bytes | None, token: str | None) -> None:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers: Mapping[str, str] = {"Content-Type": JSON} if content is not None else {}
    if token is not None:
        headers = {**headers, "Authorization": f"Bearer {token}"}
    try:
        transport = Transport(f"{parts.scheme}://{parts.netloc.lower()}", timeout_seconds=TIMEOUT_SECONDS)
        try:
            reply = transport.request(method, target, content=content, headers=dict(headers), reply_bytes=_REPLY_BYTES)
        finally:
            transport.close()
    except BpciError as error:
        raise _failed(error.message) from error
    if not 200 <= reply.status < 300:
        raise _failed(f"{parts.hostname} answered with HTTP status {reply.status}")


def _failed(reason: str) -> UnreachableError:
    return UnreachableError(reason, code="unreachable.receiver")
