"""The ways that alerts take: a webhook over HTTP, and mail over SMTP with TLS.

A webhook is signed as *Standard Webhooks* asks (standardwebhooks.com): `webhook-id`,
`webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 over id, time and body, so that a
receiver knows the sender, and refuses what is old. No message of an error holds a URL, an address
or a secret.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from email.message import EmailMessage
from email.utils import formatdate
from threading import Thread
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import httpx
import msgspec

from shroff.errors import ConfigurationError, SourceUnavailable, one_line
from shroff.settings import Settings

_TIMEOUT_SECONDS: Final = 10.0
_MAIL_SECONDS: Final = 60.0
_SUBMISSION_PORT: Final = 587
_TLS_PORT: Final = 465
_SECRET_PREFIX: Final = "whsec_"
_REMEDIES: Final[Sequence[tuple[type[Exception] | tuple[type[Exception], ...], str]]] = (
    (
        ssl.SSLCertVerificationError,
        "its certificate is not trusted, or is of another host; name the certificates of the "
        "authority that signed it with the environment variable SSL_CERT_FILE",
    ),
    (
        (ssl.SSLError, smtplib.SMTPNotSupportedError),
        "see that SHROFF_ALERT_MAIL begins with `smtps://` where the port speaks TLS at once, and "
        "with `smtp://` where it offers STARTTLS",
    ),
    (
        smtplib.SMTPAuthenticationError,
        "see that SHROFF_ALERT_MAIL has the user and the password, percent-encoded",
    ),
    (
        (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused),
        "see that it takes mail from and to the addresses in SHROFF_ALERT_MAIL",
    ),
    (smtplib.SMTPResponseException, "see what the log of that server says"),
    (Exception, "see that SHROFF_ALERT_MAIL names its host and port, and that it runs"),
)
"""What to do, by the kind of an error of mail: the first that fits."""


class Channel(Protocol):
    """A way to tell somebody."""

    @property
    def name(self) -> str:
        """By which the outbox knows it."""
        ...

    def send(self, event: str, content: str) -> None:
        """Deliver the JSON of an event.

        Raises:
            SourceUnavailable: it was not taken.
        """
        ...


def channels_of(settings: Settings) -> list[Channel]:
    """The channels that the settings name.

    Raises:
        ConfigurationError: one is not of its form, or a webhook has no secret.
    """
    found: list[Channel] = []
    if settings.alert_webhook:
        found.append(Webhook(settings.alert_webhook, settings.alert_secret))
    if settings.alert_mail:
        found.append(Mail(settings.alert_mail))
    return found


class Webhook:
    """Posts events to an HTTP(S) address, signed.

    Args:
        secret: `whsec_` and base64, or any text of at least 16 characters.
    """

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                "expected SHROFF_ALERT_WEBHOOK as the URL of a receiver, `https://host/path`."
            )
        self._url = url
        self._key = _key(secret)

    def send(self, event: str, content: str) -> None:
        """Post an event; anything but a status of 200 to 299 is a failure."""
        moment, body = str(int(time.time())), content.encode()
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": event,
            "webhook-timestamp": moment,
            "webhook-signature": signature(self._key, event, moment, body),
        }
        try:
            status = asyncio.run(self._post(body, headers))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as error:
            raise SourceUnavailable(
                f"the webhook does not answer ({type(error).__name__})."
            ) from None
        if not 200 <= status < 300:
            raise SourceUnavailable(f"the webhook answered with status {status}.")

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer, whose body is not read: it may never end. The time is that of
        all, or a receiver that sends a byte now and then would hold up other alerts.
        """
        async with (
            asyncio.timeout(_TIMEOUT_SECONDS),
            httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client,
            client.stream("POST", self._url, content=body, headers=headers) as answer,
        ):
            return answer.status_code


def signature(key: bytes, event: str, moment: str, body: bytes) -> str:
    """The header `webhook-signature`.

    >>> signature(b"0123456789abcdef", "e1", "1700000000", b"{}")
    'v1,jw/J0jcsbMHgXm0av/zPQlZPcMnlly94xuDNZSRRktM='
    """
    signed = hmac.digest(key, b"%b.%b.%b" % (event.encode(), moment.encode(), body), "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


class Mail:
    """Mails events over SMTP, never without TLS.

    Args:
        url: `smtp://user:password@host:587/?from=…&to=…` begins TLS with STARTTLS, `smtps://` at
            once; user and password are percent-encoded, and `to` may be given several times.
    """

    name = "mail"

    def __init__(self, url: str) -> None:
        parts = _split(url)
        given = {} if parts is None else parse_qs(parts.query)
        if (
            parts is None
            or parts.scheme not in ("smtp", "smtps")
            or not parts.hostname
            or not given.get("to")
            or len(given.get("from", ())) != 1
            or any(not _is_address(one) for one in (*given["to"], *given["from"]))
            or not unquote(f"{parts.username or ''}{parts.password or ''}").isascii()
        ):
            raise ConfigurationError(
                "expected SHROFF_ALERT_MAIL as `smtp://user:password@host:587/?from=a@b&to=c@d`, "
                "or `smtps://…`, with user, password and addresses in ASCII."
            )
        self._parts = parts
        self._from, self._to = given["from"][0], given["to"]

    def send(self, event: str, content: str) -> None:
        """Mail an event; `Message-ID` is the same at every attempt."""
        try:
            _within(
                _MAIL_SECONDS, lambda: self._mail(message(event, content, self._from, self._to))
            )
        except (OSError, UnicodeError, smtplib.SMTPException) as error:
            code = getattr(error, "smtp_code", None)
            told = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
            raise SourceUnavailable(
                f"the mail server did not take it ({told}): {_remedy(error)}."
            ) from None

    def _mail(self, made: EmailMessage) -> None:
        with self._connected() as server:
            if self._parts.username:
                server.login(unquote(self._parts.username), unquote(self._parts.password or ""))
            server.send_message(made)

    def _connected(self) -> smtplib.SMTP:
        host, context = self._parts.hostname or "", ssl.create_default_context()
        if self._parts.scheme == "smtps":
            port = self._parts.port or _TLS_PORT
            return smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(host, self._parts.port or _SUBMISSION_PORT, timeout=_TIMEOUT_SECONDS)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def message(event: str, content: str, sender: str, to: Sequence[str]) -> EmailMessage:
    """The mail about an event: what happened in words, then the event itself."""
    document: dict[str, Any] = msgspec.json.decode(content)
    data = document["data"]
    what = document["type"].rsplit(".", 1)[-1]
    made = EmailMessage()
    made["From"], made["To"] = sender, ", ".join(to)
    made["Subject"] = one_line(f"Shroff: {data['severity']} {what}: {document['subject']}")[:200]
    made["Date"], made["Message-ID"] = formatdate(), f"<{event}@shroff>"
    made.set_content(f"{data['sentence']}\n\n{data['model']}\nsince {data['began']}\n")
    made.add_attachment(content.encode(), "application", "cloudevents+json", filename="event.json")
    return made


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do it, or raise `TimeoutError`: the timeouts of `smtplib` are those of single bytes, which a
    tarpit sends now and then. What still waits for one ends with the process.
    """
    done = Future[None]()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=run, name="mail", daemon=True).start()
    done.result(seconds)


def _remedy(error: Exception) -> str:
    """What to do about mail that was not taken."""
    return next(what for kinds, what in _REMEDIES if isinstance(error, kinds))


def _key(secret: str) -> bytes:
    if secret.startswith(_SECRET_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
        except ValueError:
            key = b""
    else:
        key = secret.encode()
    if len(key) < 16:
        raise ConfigurationError(
            "expected SHROFF_ALERT_SECRET, at least 16 characters, or `whsec_` with as many bytes "
            "in base64: events to a webhook are signed with it."
        )
    return key


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where it has none, such as a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_address(text: str) -> bool:
    return text.isascii() and text.isprintable() and text.count("@") == 1 and " " not in text
