"""Alerts reach real servers, once per alarm, and none is lost when a process is killed."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trustme

from monitor.receivers import EndlessReceiver, MailServer, WebhookReceiver, serving
from patience import PATIENCE, until
from program import command, environment, shroff
from shroff.errors import ConfigurationError
from shroff.monitor import Finding
from shroff.monitor.alerts import Alarms, channels, channels_of, deliver
from shroff.monitor.alerts.channels import Channel
from shroff.settings import Settings

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
MOVED = Finding("drift", "amount", "alarm", "`amount` has moved.")
SLOW = Finding("latency", "p99", "warning", "One payment in a hundred is slow.")
SECOND = 1_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with serving(WebhookReceiver()) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alarms(tmp_path: Path, clock: Clock) -> Alarms:
    return Alarms(f"sqlite:///{tmp_path / 'control.db'}", clock=clock)


def webhook(server: WebhookReceiver) -> list[Channel]:
    return channels_of(Settings(alert_webhook=server.url, alert_secret=SECRET))


def events(server: WebhookReceiver) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one.body) for one in server.posted]


def test_an_alarm_is_told_when_it_begins_changes_and_ends_and_not_between(
    alarms: Alarms, hook: WebhookReceiver, clock: Clock
) -> None:
    channels = webhook(hook)
    well = Finding("latency", "p99", "info", "All is well.")
    looks = [
        ("m1", [MOVED, SLOW]),
        ("m1", [MOVED._replace(sentence="It moved more."), SLOW]),
        ("m1", [MOVED, SLOW._replace(severity="alarm")]),
        ("m1", [SLOW._replace(severity="alarm")]),  # drift is examined at every look: it has ended
        ("m1", []),  # latency was not examined
        ("m1", [well]),
    ]
    told = []
    for model, findings in looks:
        told.append(alarms.record(model, findings, ["webhook"]))
        clock.now += SECOND
        deliver(alarms, channels, clock=clock)
    assert told == [2, 0, 1, 1, 0, 1]
    kinds = [(one["type"], one["subject"], one["data"]["severity"]) for one in events(hook)]
    assert kinds == [
        ("shroff.alarm.began", "drift/amount", "alarm"),
        ("shroff.alarm.began", "latency/p99", "warning"),
        ("shroff.alarm.changed", "latency/p99", "alarm"),
        ("shroff.alarm.ended", "drift/amount", "alarm"),
        ("shroff.alarm.ended", "latency/p99", "alarm"),
    ]
    assert alarms.open() == []


def test_the_alarms_of_a_model_end_with_it(alarms: Alarms) -> None:
    alarms.record("m1", [MOVED, SLOW], [])
    assert alarms.record("m2", [MOVED], []) == 3
    assert [(one.model, one.kind) for one in alarms.open()] == [("m2", "drift")]


def test_an_event_is_a_signed_cloud_event(alarms: Alarms, hook: WebhookReceiver) -> None:
    alarms.record("m1", [MOVED], ["webhook"])
    assert deliver(alarms, webhook(hook)).sent == 1
    (posted,), (event,) = hook.posted, events(hook)
    assert posted.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert event["specversion"] == "1.0"
    assert {"id", "source", "type", "subject", "time", "datacontenttype", "data"} < {*event}
    assert event["data"]["sentence"] == "`amount` has moved."
    assert posted.headers["webhook-id"] == event["id"]
    signed = f"{event['id']}.{posted.headers['webhook-timestamp']}.".encode() + posted.body
    mac = base64.b64encode(hmac.digest(b"0123456789abcdef", signed, "sha256")).decode()
    assert posted.headers["webhook-signature"] == f"v1,{mac}"
    assert deliver(alarms, webhook(hook)).sent == 0


def test_what_is_not_taken_is_tried_again_later_and_later(
    alarms: Alarms, hook: WebhookReceiver, clock: Clock
) -> None:
    alarms.record("m1", [MOVED], ["webhook"])
    hook.status = 500
    for pause in (30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600):
        done = deliver(alarms, webhook(hook), clock=clock)
        assert (done.sent, done.failed) == (0, 1)
        assert done.failure == "the webhook answered with status 500."
        clock.now += (pause - 1) * SECOND
        assert deliver(alarms, webhook(hook), clock=clock) == (0, 0, None)
        clock.now += SECOND
    hook.status = 204
    assert deliver(alarms, webhook(hook), clock=clock).sent == 1
    assert len({one["id"] for one in events(hook)}) == 1


def test_an_answer_that_never_ends_is_not_awaited(alarms: Alarms, clock: Clock) -> None:
    """Neither a body without an end, nor a header that comes byte by byte, nor a redirect."""
    alarms.record("m1", [MOVED], ["webhook"])
    with serving(EndlessReceiver()) as server:
        hook = channels_of(Settings(alert_webhook=server.url, alert_secret=SECRET))
        assert deliver(alarms, hook, clock=clock).sent == 1
        alarms.test(["webhook"])
        server.first = b"HTTP/1.1 302 Found\r\nlocation: /other\r\n\r\n"
        moved = deliver(alarms, hook, clock=clock)
        assert moved.failure == "the webhook answered with status 302."
        clock.now += 60 * SECOND
        server.first = b"HTTP/1.1 200 OK\r\nx: "
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(channels, "_TIMEOUT_SECONDS", 0.3)
            dripped = deliver(alarms, hook, clock=clock)
        assert dripped.failure == "the webhook does not answer (TimeoutError)."
        server.first = b"220-"
        mail = Settings(alert_mail=f"smtp://127.0.0.1:{server.server_address[1]}/?from=a@b&to=c@d")
        alarms.test(["mail"])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(channels, "_MAIL_SECONDS", 0.3)
            tarpit = deliver(alarms, channels_of(mail), clock=clock)
        assert str(tarpit.failure).startswith("the mail server did not take it (TimeoutError): see")
    assert server.asked == 4


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 70}.b", "xn--", "[::1]:1", "127.0.0.1:1"])
def test_a_host_that_no_name_server_knows_is_a_failure(
    alarms: Alarms, clock: Clock, host: str
) -> None:
    alarms.record("m1", [MOVED], ["webhook", "mail"])
    settings = Settings(
        alert_webhook=f"http://user:secret@{host}/",
        alert_secret=SECRET,
        alert_mail=f"smtp://user:secret@{host}/?from=a@b&to=c@d",
    )
    done = deliver(alarms, channels_of(settings), clock=clock)
    assert (done.sent, done.failed, "secret" in str(done)) == (0, 2, False)


def test_a_clock_that_is_set_back_holds_no_alert_up(
    alarms: Alarms, hook: WebhookReceiver, clock: Clock
) -> None:
    clock.now += 10 * 365 * 86_400 * SECOND
    alarms.record("m1", [MOVED, SLOW], ["webhook"])
    hook.status = 500
    assert deliver(alarms, webhook(hook), clock=clock).failed == 1
    hook.status, clock.now = 204, 1_700_000_000 * SECOND
    assert deliver(alarms, webhook(hook), clock=clock).sent == 2


WRITE = """
import os, signal, sys
from shroff.monitor import Finding
from shroff.monitor.alerts import Alarms
Alarms(sys.argv[1]).record("m1", [Finding("drift", "amount", "alarm", "It moved.")], ["webhook"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_alert_is_lost_when_a_process_is_killed(hook: WebhookReceiver, tmp_path: Path) -> None:
    """Killed before anything is sent, and again while the receiver has not answered yet."""
    url = f"sqlite:///{tmp_path / 'control.db'}"
    words = [sys.executable, "-c", WRITE, url]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    mine = {
        "SHROFF_CONTROL": url,
        "SHROFF_ALERT_WEBHOOK": hook.url,
        "SHROFF_ALERT_SECRET": SECRET,
    }
    hook.open.clear()
    sender = subprocess.Popen(command("alerts", "send"), env=environment(tmp_path, None, **mine))
    until(lambda: len(hook.posted) == 1)
    os.kill(sender.pid, signal.SIGKILL)
    sender.wait(PATIENCE)
    hook.open.set()
    done = shroff(tmp_path, "alerts", "send", "--json", kept=None, **mine)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout) == {
        "sent": 1,
        "failed": 0,
        "failure": None,
        "waiting": 0,
    }
    first, second = events(hook)
    assert first == second, "the receiver knows it by its id"


def test_mail_goes_over_tls_with_a_password_that_nobody_prints(
    alarms: Alarms, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    moved = MOVED._replace(subject="a\r\nBcc: x@y", sentence="It moved: “much”.")
    alarms.record("m1", [moved], ["mail"])
    with serving(MailServer(context)) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        login = f"{quote('watch@bank')}:{quote('p:ss word')}"
        settings = Settings(
            alert_mail=f"smtp://{login}@{host}/?from=shroff@bank&to=a@bank&to=b@bank"
        )
        channels = channels_of(settings)
        assert "word" not in repr(settings)
        untrusted = deliver(alarms, channels, clock=clock)
        told = str(untrusted.failure)
        assert told.startswith("the mail server did not take it (SSLCertVerificationError): its ")
        assert "SSL_CERT_FILE" in told
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        clock.now += 3_600 * SECOND
        server.refuse = 1
        refused = deliver(alarms, channels, clock=clock)
        assert "(SMTPDataError 451): see what the log of that server" in str(refused.failure)
        clock.now += 3_600 * SECOND
        assert deliver(alarms, channels, clock=clock).sent == 1
        wrong = channels_of(Settings(alert_mail=f"smtp://a:secret@{host}/?from=a@b&to=c@d"))
        alarms.test(["mail"])
        told = str(deliver(alarms, wrong, clock=clock).failure)
        assert "(SMTPAuthenticationError 535): see that SHROFF_ALERT_MAIL has the user" in told
        assert "secret" not in told
    (mail,) = server.mails
    read = email.message_from_bytes(mail.encode(), policy=email.policy.default)
    assert read["To"] == "a@bank, b@bank"
    assert read["Bcc"] is None
    assert read["Subject"] == "Shroff: alarm began: drift/a\\r\\nBcc: x@y"
    body, event = read.iter_parts()
    assert "It moved: “much”." in body.get_content()
    content = msgspec.json.decode(event.get_content())
    assert read["Message-ID"] == f"<{content['id']}@shroff>"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(alert_webhook="ftp://host", alert_secret=SECRET),
        Settings(alert_webhook="http://host:port/", alert_secret=SECRET),
        Settings(alert_webhook="https://host", alert_secret="short"),
        Settings(alert_webhook="https://host", alert_secret="whsec_!"),
        Settings(alert_mail="smtp://user:secret@host"),
        Settings(alert_mail="http://user:secret@host/?from=a@b&to=c@d"),
        Settings(alert_mail="smtp://user:secret@host/?from=a@b&to=c@d%0d%0aBcc: x@y"),
        Settings(alert_mail="smtp://user:secret%C3%BC@host/?from=a@b&to=c@d"),
    ],
)
def test_a_channel_that_is_none_is_refused_without_its_secret(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="expected SHROFF_ALERT_") as caught:
        channels_of(settings)
    assert "secret@" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_two_processes_that_look_at_once_tell_an_alarm_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    words = [sys.executable, "-c", WRITE.replace("os.kill(", "0 and ("), url]
    for one in [subprocess.Popen(words) for _ in range(3)]:
        assert one.wait(PATIENCE) == 0
    assert len(Alarms(url).waiting()) == 1
