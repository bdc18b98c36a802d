"""Routes of alerts against real servers of each kind on this machine, sound and faulty."""

import base64
import json
import socket
import socketserver
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kyc_ml.config import (
    AlertsConfig,
    EmailRoute,
    FileRoute,
    SyslogRoute,
    WebhookRoute,
    check_section,
)
from kyc_ml.errors import ConfigError, RouteError
from kyc_ml.monitoring.alerts import routes
from kyc_ml.monitoring.alerts.routes import send

SECRET = {"secret_variable": "HOOK_SECRET"}
QUICK = {"timeout_seconds": 5.0, "retries": 0}  # a busy machine answers late
MESSAGE = {
    "id": "A1-opened-r", "alert": "A1", "what": "opened", "incident": "", "code": "level.tier",
    "model": "fraud", "day": "2026-11-30", "subject": "high\r\nBcc: x@y", "severity": "critical",
    "value": 1.6, "limit": None, "text": 'one "sentence"]\nof two lines', "text_zh": "一句话",
    "guarantee": "", "guarantee_zh": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(routes, "_PAUSE", 0.0)


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate of 127.0.0.1 that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(pem))
    return path


def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# A web address


class Hook(BaseHTTPRequestHandler):
    """Keeps what it gets; the path says how it answers."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(body)))
        code = {"/fail": 500, "/moved": 302}.get(self.path, 200)
        if self.path == "/slow":
            time.sleep(0.4)
        if self.path == "/drip":
            for _ in range(15):  # each byte begins the time-out of a socket again
                self.wfile.write(b"H")
                time.sleep(0.1)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:1/stolen")
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


class Quiet(HTTPServer):
    def handle_error(self, *_):
        """A client that gives up is what some tests are about."""


@pytest.fixture(scope="module")
def hook():
    server = Quiet(("127.0.0.1", 0), Hook)
    server.got = []
    with serving(server):
        yield server


def webhook(server, path="/", **keys):
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return WebhookRoute(method="webhook", url=url, **{**QUICK, **keys})


def test_a_webhook_gets_json_an_identifier_and_the_secret(hook, monkeypatch, tmp_path):
    hook.got.clear()
    monkeypatch.setenv("HOOK_SECRET", "Bearer s3cret")
    send(MESSAGE, webhook(hook, **SECRET), folder=tmp_path)
    [(_, headers, body)] = hook.got
    assert body == MESSAGE
    assert headers["Idempotency-Key"] == MESSAGE["id"]
    assert headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(("path", "tries"), [("/fail", 3), ("/moved", 1), ("/slow", 2)])
def test_a_failing_webhook_is_tried_again_and_then_reported(hook, path, tries, tmp_path):
    hook.got.clear()
    route = webhook(hook, path, retries=tries - 1, timeout_seconds=0.3 if path == "/slow" else 5.0)
    with pytest.raises(RouteError):
        send(MESSAGE, route, folder=tmp_path)
    assert [each[0] for each in hook.got] == [path] * tries


def test_a_server_that_never_ends_its_answer_is_left(hook, tmp_path):
    with pytest.raises(RouteError):
        send(MESSAGE, webhook(hook, "/drip", timeout_seconds=0.3), folder=tmp_path)


def test_no_fault_has_the_secret(hook, monkeypatch, tmp_path):
    for secret in ("s3cret", "s3cret\nX: y"):
        monkeypatch.setenv("HOOK_SECRET", secret)
        with pytest.raises(RouteError) as caught:
            send(MESSAGE, webhook(hook, "/fail", **SECRET), folder=tmp_path)
        assert "s3cret" not in str(caught.value)
    monkeypatch.delenv("HOOK_SECRET")
    with pytest.raises(RouteError, match="HOOK_SECRET"):
        send(MESSAGE, webhook(hook, **SECRET), folder=tmp_path)


@pytest.mark.parametrize(
    "route",
    [
        {"method": "webhook", "url": "https://a.example/b c"},
        {"method": "webhook", "url": "https://a..b/"},
        {"method": "email", "host": "a..b", "sender": "a", "recipients": ["b"]},
        {"method": "syslog", "address": "a..b"},
        {"method": "file", "path": "a\0b"},
    ],
    ids=lambda route: route["method"],
)
def test_an_address_that_no_server_has_is_a_fault(route, tmp_path):
    config = AlertsConfig.model_validate({"routes": {"r": route}, "rules": ()})
    with pytest.raises(RouteError):
        send(MESSAGE, config.routes["r"], folder=tmp_path)


def test_a_server_of_another_protocol_is_a_fault(tmp_path):
    with serving(MailServer()) as server:
        server.server_port = server.server_address[1]
        with pytest.raises(RouteError):
            send(MESSAGE, webhook(server), folder=tmp_path)


def test_a_certificate_counts_only_if_its_authority_is_named(certificate, tmp_path):
    server = Quiet(("127.0.0.1", 0), Hook)
    server.got = []
    server.socket = tls(certificate).wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}/"
    with serving(server):
        with pytest.raises(RouteError, match="ca_file"):
            send(MESSAGE, WebhookRoute(method="webhook", url=url, **QUICK), folder=tmp_path)
        trusting = WebhookRoute(method="webhook", url=url, ca_file=str(certificate), **QUICK)
        send(MESSAGE, trusting, folder=tmp_path)
    assert len(server.got) == 1


# E-mail


class Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs; keeps envelopes, and answers as the server says."""

    def handle(self):
        self.say("220 ready")
        envelope, secure = {"to": []}, False
        while line := self.rfile.readline().decode().strip():
            verb, answer = line.split(" ")[0].upper(), "250 ok"
            if verb == "EHLO":
                offered = ["SIZE"] if secure or self.server.context is None else ["STARTTLS"]
                self.say("250-test\r\n250-AUTH PLAIN\r\n250 " + offered[0])
                continue
            if verb == "STARTTLS":
                self.say("220 go")
                self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = (
                    self.connection.makefile("rb"),
                    self.connection.makefile("wb", buffering=0),
                )
                secure = True
                continue
            if verb == "AUTH":
                envelope["auth"] = base64.b64decode(line.split(" ")[-1])
                answer = self.server.answers.get("AUTH", "235 ok")
            if verb == "RCPT":
                envelope["to"].append(line)
                answer = self.server.answers.get(f"RCPT {len(envelope['to'])}", "250 ok")
            if verb == "DATA":
                self.say("354 send")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text)
                envelope["data"], envelope["secure"] = b"".join(lines).decode(), secure
                self.server.got.append(envelope)
            if verb == "QUIT":
                self.say("221 bye")
                return
            self.say(answer)

    def finish(self):
        super().finish()
        self.connection.close()  # the one that TLS put in its place

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *, context=None, **answers):
        super().__init__(("127.0.0.1", 0), Smtp)
        self.got, self.context = [], context
        self.answers = {name.replace("_", " "): text for name, text in answers.items()}

    def handle_error(self, *_):
        """A client that refuses a certificate is what some tests are about."""


def mail(server, **keys):
    return EmailRoute(
        **{
            "method": "email", "host": "127.0.0.1", "port": server.server_address[1],
            "security": "none", "sender": "kyc@bank.example",
            "recipients": ("ops@bank.example", "risk@bank.example"), **QUICK, **keys,
        }
    )  # fmt: skip


def test_an_email_has_both_languages_and_no_forged_header(tmp_path):
    with serving(MailServer()) as server:
        send(MESSAGE, mail(server), folder=tmp_path)
    [envelope] = server.got
    sent = message_from_string(envelope["data"], policy=policy.default)
    assert sent["Message-ID"].startswith(f"<{MESSAGE['id']}@")
    assert sent["Bcc"] is None
    assert len(envelope["to"]) == 2
    assert "一句话" in sent.get_content()
    assert "one" in sent.get_content()


def test_an_email_is_protected_and_logs_in(certificate, monkeypatch, tmp_path):
    monkeypatch.setenv("MAIL_USER", "kyc")
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    keys = {
        "security": "starttls", "user_variable": "MAIL_USER", "password_variable": "MAIL_PASSWORD"
    }  # fmt: skip
    with serving(MailServer(context=tls(certificate))) as server:
        with pytest.raises(RouteError, match="ca_file"):
            send(MESSAGE, mail(server, **keys), folder=tmp_path)
        send(MESSAGE, mail(server, ca_file=str(certificate), **keys), folder=tmp_path)
    [envelope] = server.got
    assert envelope["secure"]
    assert envelope["auth"] == b"\0kyc\0s3cret"


@pytest.mark.parametrize(
    "answers",
    [{"RCPT_1": "550 no", "RCPT_2": "550 no"}, {"RCPT_2": "550 no"}, {"AUTH": "535 s3cret"}],
)
def test_a_mail_server_that_refuses_is_a_fault_without_the_password(answers, monkeypatch, tmp_path):
    monkeypatch.setenv("MAIL_USER", "kyc")
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    route = {"user_variable": "MAIL_USER", "password_variable": "MAIL_PASSWORD"}
    with serving(MailServer(**answers)) as server, pytest.raises(RouteError) as caught:
        send(MESSAGE, mail(server, **route), folder=tmp_path)
    assert "s3cret" not in str(caught.value)


# Syslog


def read_framed(connection):
    size, _, rest = connection.recv(65_536).partition(b" ")
    assert len(rest) == int(size)
    return rest


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_syslog_gets_one_message_of_rfc_5424(transport, tmp_path):
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as server:
        server.settimeout(2)
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        port = server.getsockname()[1]
        route = SyslogRoute(method="syslog", transport=transport, port=port, **QUICK)
        send(MESSAGE, route, folder=tmp_path)
        if kind == socket.SOCK_STREAM:
            connection, _ = server.accept()
            with connection:
                got = read_framed(connection)
        else:
            got = server.recv(65_536)
    head, _, text = got.partition(b"\xef\xbb\xbf")
    assert head.startswith(b"<130>1 ")  # 8 * 16 + 2
    assert b' id="A1-opened-r" ' in head
    assert text.decode() == " ".join(MESSAGE["text"].split())
    assert b"\n" not in got


@pytest.mark.parametrize("method", ["webhook", "email", "syslog"])
def test_a_refused_connection_is_a_fault(method, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    route = {
        "webhook": lambda: WebhookRoute(method=method, url=f"http://127.0.0.1:{port}/", **QUICK),
        "email": lambda: EmailRoute(
            method=method, host="127.0.0.1", port=port, sender="a@b", recipients=("c@d",), **QUICK
        ),
        "syslog": lambda: SyslogRoute(method=method, transport="tcp", port=port, **QUICK),
    }[method]()
    with pytest.raises(RouteError):
        send(MESSAGE, route, folder=tmp_path)


# A file


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"id": "cut')
    route = FileRoute(method="file")
    send(MESSAGE, route, folder=tmp_path)
    send(MESSAGE, route, folder=tmp_path)
    lines = path.read_text().splitlines()
    assert [json.loads(each)["id"] for each in lines[1:]] == [MESSAGE["id"]] * 2


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        (WebhookRoute, {"url": "ftp://a/b"}),
        (WebhookRoute, {"url": "https://u:p@a/b"}),
        (WebhookRoute, {"url": "http://a.example/b", "secret_variable": "X"}),
        (EmailRoute, {"host": "a", "sender": "b", "recipients": ["c"], "user_variable": "X"}),
        (EmailRoute, {"host": "a", "sender": "b <", "recipients": ["c"]}),
        (EmailRoute, {"host": "a", "sender": "b", "recipients": ["c\nBcc: d"]}),
        (
            EmailRoute,
            {
                "host": "a", "sender": "b", "recipients": ["c"], "security": "none",
                "user_variable": "X", "password_variable": "Y",
            },
        ),
    ],
)  # fmt: skip
def test_what_would_give_a_secret_away_is_refused(section, keys):
    method = {WebhookRoute: "webhook", EmailRoute: "email"}[section]
    with pytest.raises(ConfigError):
        check_section({"method": method, **keys}, section, subject="route")
