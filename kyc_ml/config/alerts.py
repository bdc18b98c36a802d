"""Who is notified of which signal, and by what route."""

from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from kyc_ml.config.section import FilledText, Section, refuse_faults

Address: TypeAlias = Annotated[FilledText, Field(pattern=r"^[^\r\n<>]*(<[^\s<>]+>)?$")]
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class FileRoute(Section):
    """Appends one JSON object a line to a file."""

    method: Literal["file"]
    """Kind of the route."""
    path: FilledText = "alerts.jsonl"
    """The file; a relative path begins at the folder of the nights."""


class ExitCodeRoute(Section):
    """Ends a job with exit code 1 while an alert is open and not acknowledged."""

    method: Literal["exit_code"]
    """Kind of the route."""


class SentRoute(Section):
    """What the routes over a network share."""

    timeout_seconds: float = Field(default=10.0, gt=0.0, le=120.0)
    """Longest wait for an answer; an attempt never takes more than three times as long."""
    retries: int = Field(default=1, ge=0, le=5)
    """Further attempts in the same run; afterwards the next run tries again."""


class WebhookRoute(SentRoute):
    """Posts JSON to a web address; a redirect is refused."""

    method: Literal["webhook"]
    """Kind of the route."""
    url: FilledText
    """Where to, https or http; a secret is sent over https only, except to this machine."""
    secret_header: FilledText = "Authorization"  # noqa: S105  the name of a header
    """Header that has the secret."""
    secret_variable: str | None = None
    """Environment variable that has the secret; null: none is sent."""
    ca_file: str | None = None
    """PEM file with the authorities of a private network; null: those of the system."""

    @model_validator(mode="after")
    def _keeps_the_secret(self) -> Self:
        parts = urlsplit(self.url)
        faults = []
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            faults.append("url must begin with https:// or http:// and a host")
        if parts.username or parts.password:
            faults.append("url must hold no password: name a variable in secret_variable")
        if self.secret_variable and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            faults.append("a secret must not be sent over http: use https")
        refuse_faults(faults)
        return self


class EmailRoute(SentRoute):
    """Sends an e-mail by SMTP."""

    method: Literal["email"]
    """Kind of the route."""
    host: FilledText
    """Mail server."""
    port: int = Field(default=587, ge=1, le=65_535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected."""
    sender: Address
    """Address that it is from."""
    recipients: tuple[Address, ...] = Field(min_length=1)
    """Addresses that it is for."""
    user_variable: str | None = None
    """Environment variable that has the name to log in with; null: no log-in."""
    password_variable: str | None = None
    """Environment variable that has the password."""
    ca_file: str | None = None
    """PEM file with the authorities of a private network; null: those of the system."""
    languages: tuple[Literal["en", "zh"], ...] = Field(default=("en", "zh"), min_length=1)
    """Languages of the text, in this order."""

    @model_validator(mode="after")
    def _keeps_the_password(self) -> Self:
        faults = []
        if (self.user_variable is None) != (self.password_variable is None):
            faults.append("give both user_variable and password_variable, or neither")
        if self.user_variable and self.security == "none" and self.host not in _LOOPBACK:
            faults.append("a password must not be sent without protection: use starttls or tls")
        refuse_faults(faults)
        return self


class SyslogRoute(SentRoute):
    """Sends a message of RFC 5424 to a syslog server."""

    method: Literal["syslog"]
    """Kind of the route."""
    transport: Literal["udp", "tcp"] = "udp"
    """How it is sent; a server does not confirm one by udp."""
    address: FilledText = "127.0.0.1"
    """Host of the server."""
    port: int = Field(default=514, ge=1, le=65_535)
    """Its port."""
    facility: int = Field(default=16, ge=0, le=23)
    """Facility of RFC 5424; 16 is local0."""


Route: TypeAlias = FileRoute | ExitCodeRoute | WebhookRoute | EmailRoute | SyslogRoute


class AlertRule(Section):
    """Which signals go where: the first rule that fits a signal decides. `*` is any text."""

    signal: FilledText = "*"
    """Codes of signals, such as `drift.*`."""
    model: FilledText = "*"
    """Names of models; signals about tables and jobs have none, which only `*` fits."""
    severity: Literal["info", "warning", "critical"] = "info"
    """Lowest severity."""
    routes: tuple[FilledText, ...]
    """Names of routes; an empty list sends nothing."""
    escalate_after_hours: float | None = Field(default=None, gt=0.0, le=8_760.0)
    """Hours without an acknowledgement after which further routes are used; null: never."""
    escalate_to: tuple[FilledText, ...] = ()
    """Names of these routes."""

    @model_validator(mode="after")
    def _escalates_somewhere(self) -> Self:
        if (self.escalate_after_hours is None) == bool(self.escalate_to):
            raise ValueError("give both escalate_after_hours and escalate_to, or neither")
        return self


class AlertsConfig(Section):
    """Rules and routes of alerts."""

    resolve_after_nights: int = Field(default=3, ge=1)
    """Nights in a row without the signal after which an alert is resolved."""
    routes: dict[str, Annotated[Route, Field(discriminator="method")]] = Field(
        default={"file": FileRoute(method="file"), "job": ExitCodeRoute(method="exit_code")}
    )
    """Routes by name."""
    rules: tuple[AlertRule, ...] = (
        AlertRule(severity="critical", routes=("file", "job")),
        AlertRule(severity="warning", routes=("file",)),
    )
    """Rules, the first that fits first; a signal that no rule fits is recorded only."""

    @model_validator(mode="after")
    def _routes_exist(self) -> Self:
        refuse_faults(
            f"rules.{number}: {name!r} is not a route; known: {', '.join(self.routes) or 'none'}"
            for number, rule in enumerate(self.rules)
            for name in dict.fromkeys((*rule.routes, *rule.escalate_to))
            if name not in self.routes
        )
        return self
