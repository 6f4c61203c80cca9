"""The console within the service, at /console."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from console.seed import PASSWORD
from console.site import Visit, started_process
from program import shroff
from shroff.control.users import Users
from shroff.settings import Settings


def test_the_service_has_the_console_too(bundle_folder: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    Users(settings.control).add("ada", "admin", password=PASSWORD)
    words = ("serve", str(bundle_folder), "--console", "--without-keys")
    with started_process(settings, *words) as site:
        visit = Visit(f"{site.url}/console")
        with visit.http:
            first = visit.http.get("/")
            assert (first.status_code, first.headers["location"]) == (303, "/console/sign-in")
            entered = visit.send("/sign-in", name="ada", password=PASSWORD, next="/users")
            assert entered.headers["location"] == "/console/users"
            shown = visit.page("/users")
            inside = re.findall(r'(?:href|src|action)="(/[^"]*)"', shown)
            assert len(inside) > 10
            assert [one for one in inside if not one.startswith("/console/")] == []
            for address in inside:
                if "/assets/" in address:
                    assert httpx.get(site.url + address).status_code == 200
            assert visit.http.get("/nowhere").status_code == 404
            # a proxy of this machine says that people speak TLS to it, and from where
            secure = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
            led = httpx.get(f"{site.url}/console/sign-in", headers=secure)
            assert "__Host-shroff_visit=" in led.headers["set-cookie"]
            assert "Secure" in led.headers["set-cookie"]
            led = httpx.get(f"{site.url}/console/sign-in")
            assert "__Host-" not in led.headers["set-cookie"]
            # beside it the service answers as ever, and its own errors stay its own
            answer = httpx.get(f"{site.url}/v1/nowhere")
            assert answer.headers["content-type"] == "application/problem+json"
            assert httpx.get(f"{site.url}/health/live").status_code == 200


def test_a_proxy_that_nobody_named_is_not_believed(bundle_folder: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    words = ("serve", str(bundle_folder), "--console", "--without-keys")
    with started_process(settings, *words, FORWARDED_ALLOW_IPS="198.51.100.1") as site:
        headers = {"x-forwarded-proto": "https"}
        led = httpx.get(f"{site.url}/console/sign-in", headers=headers)
        assert "Secure" not in led.headers["set-cookie"]


def test_without_users_the_service_has_no_console_for_others(tmp_path: Path) -> None:
    refused = shroff(tmp_path, "serve", "--console", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "`shroff users add NAME --role admin`" in refused.stderr
