"""The routes of a message: a file, a web address, e-mail, syslog."""

import json
import os
import smtplib
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError

from kyc_ml.config import EmailRoute, FileRoute, Route, SentRoute, SyslogRoute, WebhookRoute
from kyc_ml.errors import RouteError
from kyc_ml.monitoring.alerts.texts import say_body, say_subject

Message = Mapping[str, Any]
"""A signal as JSON, with `id` (by which a receiver recognises a repetition), `what`, `alert`."""

_SEVERITIES: Final = {"critical": 2, "warning": 4, "info": 6}
"""Severities of RFC 5424, section 6.2.1."""
_NUMBER: Final = "kyc_ml@32473"
"""The enterprise number is the one that RFC 5612 keeps for examples: kyc_ml has none."""
_LONGEST: Final = 1_800
"""Characters of the text of a datagram: a receiver must accept 2,048 bytes (RFC 5424, 6.1)."""
_PAUSE: Final = 0.5
"""Seconds before a further attempt (convention)."""


def send(message: Message, route: Route, *, folder: Path) -> None:
    """Deliver one message, with the further attempts of its route.

    `folder`: the folder of the nights, where a relative path of a file begins.
    Raises RouteError if no attempt succeeds; the text never has a secret.
    """
    if isinstance(route, FileRoute):
        _append(message, folder / route.path)
    elif isinstance(route, SentRoute):  # an exit code needs no message
        _attempt(message, route)


def _attempt(message: Message, route: SentRoute) -> None:
    senders: dict[type[SentRoute], Callable[[Message, Any], None]] = {
        WebhookRoute: _post,
        EmailRoute: _mail,
        SyslogRoute: _log,
    }
    sender = senders[type(route)]
    for attempt in range(route.retries + 1):
        try:
            _within(3 * route.timeout_seconds, lambda: sender(message, route))
        except RouteError:
            if attempt == route.retries:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do work in limited time: a time-out of a socket alone begins again with each byte."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise RouteError(f"no end after {seconds:g} seconds")
    error = ended[0]
    if isinstance(error, (OSError, smtplib.SMTPException, HTTPException, ValueError)):
        raise RouteError(_reason(error)) from None
    if error is not None:
        raise error


def _reason(error: Exception) -> str:
    """Return why, without what was sent: an answer of a server may repeat it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refused {len(error.recipients)} recipient(s)"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({inner.verify_message}): check host and ca_file"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    if isinstance(inner, (ValueError, InvalidURL)):  # its text may repeat a secret
        return "an address or a secret cannot be sent as it is written: check both"
    return "no answer in time" if isinstance(inner, TimeoutError) else type(inner).__name__


def _append(message: Message, path: Path) -> None:
    line = json.dumps(message, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            # a job that was killed may have left half a line
            file.write((b"" if file.read(1) in {b"", b"\n"} else b"\n") + line)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:  # the path may have a null byte
        msg = f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
        raise RouteError(msg) from None


def _secret(variable: str | None) -> str | None:
    if variable is None:
        return None
    found = os.environ.get(variable)
    if not found:
        raise RouteError(f"the environment variable {variable} is not set")
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow: a secret header would go to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401  as urllib has it
        """Follow nowhere; urllib then reports the code as an error."""


def _post(message: Message, route: WebhookRoute) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": message["id"]}
    if secret := _secret(route.secret_variable):
        headers[route.secret_header] = secret
    try:
        request = urllib.request.Request(  # noqa: S310  the scheme is checked in the configuration
            route.url, json.dumps(message).encode(), headers, method="POST"
        )
        opener = urllib.request.build_opener(
            _NoRedirect, urllib.request.HTTPSHandler(context=_context(route.ca_file))
        )
        with opener.open(request, timeout=route.timeout_seconds):
            return
    except HTTPError as error:
        error.close()
        raise RouteError(f"the server answered {error.code}") from None


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise RouteError(f"ca_file {ca_file} is not a PEM file that can be read") from None


def _mail(message: Message, route: EmailRoute) -> None:
    mail = EmailMessage()
    mail["Subject"] = say_subject(message, languages=route.languages)
    mail["From"], mail["To"] = route.sender, ", ".join(route.recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{message['id']}@kyc-ml>"
    mail.set_content(say_body(message, languages=route.languages))
    user, password = _secret(route.user_variable), _secret(route.password_variable)
    context = None if route.security == "none" else _context(route.ca_file)
    with _mail_server(route, context) as server:
        if route.security == "starttls":
            server.starttls(context=context)
        if user and password:
            server.login(user, password)
        if refused := server.send_message(mail):
            raise smtplib.SMTPRecipientsRefused(refused)


def _mail_server(route: EmailRoute, context: ssl.SSLContext | None) -> smtplib.SMTP:
    seconds = route.timeout_seconds
    if route.security == "tls":
        return smtplib.SMTP_SSL(route.host, route.port, timeout=seconds, context=context)
    return smtplib.SMTP(route.host, route.port, timeout=seconds)


def _log(message: Message, route: SyslogRoute) -> None:
    """Send a message of RFC 5424; over a stream, with its length before it (RFC 6587)."""
    line = _syslog_line(message, facility=route.facility)
    kind = socket.SOCK_DGRAM if route.transport == "udp" else socket.SOCK_STREAM
    [(family, _, _, _, address), *_] = socket.getaddrinfo(route.address, route.port, type=kind)
    with socket.socket(family, kind) as connection:
        connection.settimeout(route.timeout_seconds)
        connection.connect(address)
        framed = route.transport == "tcp"
        connection.sendall(b"%d %s" % (len(line), line) if framed else line)


def _syslog_line(message: Message, *, facility: int) -> bytes:
    def escape(text: object) -> str:
        for mark in '\\"]':
            text = str(text).replace(mark, f"\\{mark}")
        return " ".join(str(text).split())

    facts = {
        name: message.get(name, "") for name in ("id", "alert", "what", "code", "model", "day")
    }
    data = " ".join(f'{name}="{escape(value)}"' for name, value in facts.items())
    priority = 8 * facility + _SEVERITIES[message["severity"]]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    host = socket.gethostname() or "-"
    text = " ".join(str(message["text"]).split())[:_LONGEST]
    head = f"<{priority}>1 {now} {host} kyc_ml {os.getpid()} {message['what'][:32]}"
    # the byte order mark says that the text is UTF-8 (RFC 5424, 6.4)
    return f"{head} [{_NUMBER} {data}] ".encode() + b"\xef\xbb\xbf" + text.encode()
