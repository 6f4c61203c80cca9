"""Who gets in, who may do what, and what other sites cannot make a browser do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from console.seed import PASSWORD
from console.site import ConsoleSite, problem_in
from shroff.console import ConsoleBackend, console_app
from shroff.control.users import USER_ROLES


def test_somebody_signs_in_and_out(console: ConsoleSite) -> None:
    visit = console.visit()
    first = visit.http.get("/users?a=b")
    assert first.status_code == 303
    assert first.headers["location"] == "/sign-in?next=%2Fusers%3Fa%3Db"
    wrong = visit.send("/sign-in", name="admin", password="wrong", next="/users")
    assert wrong.status_code == 403
    assert "do not belong together" in problem_in(wrong.text)
    entered = visit.send("/sign-in", name="Admin", password=PASSWORD, next="/users")
    assert (entered.status_code, entered.headers["location"]) == (303, "/users")
    assert "may sign in" in visit.page("/users")
    added = visit.send("/users", name="Zoë", role="analyst", password=PASSWORD)
    assert added.status_code == 303
    assert "<td>user added</td><td>Zoë</td>" in visit.page("/users")
    token = visit.http.cookies["shroff_session"]
    assert visit.send("/sign-out").status_code == 303
    visit.http.cookies.set("shroff_session", token)
    assert visit.http.get("/users").status_code == 303


def test_every_route_declares_a_role_and_keeps_the_others_out(console: ConsoleSite) -> None:
    ranks: list[str] = ["", *USER_ROLES]
    visits = {role: console.visit(role) for role in ranks}
    tokens = {
        role: visit.token("/account" if role else "/sign-in") for role, visit in visits.items()
    }
    walked = 0
    for method, path, opt in routes(console):
        assert "role" in opt, (method, path)
        needed = opt["role"] or ""
        for role in ranks[: ranks.index(needed)]:
            form = {"csrf": tokens[role]} if method == "POST" else None
            answer = visits[role].http.request(method, path, data=form)
            assert answer.status_code == (403 if role else 303), (method, path, role)
            walked += 1
    assert walked > 20


def routes(console: ConsoleSite) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    """Every method and address of the console, with what its handler declares."""
    for route in console_app(ConsoleBackend(console.settings)).routes:
        path = re.sub(r"\{[^}]*\}", "1", route.path)
        for handler in getattr(route, "route_handlers", ()):
            for method in sorted(handler.http_methods - {"HEAD", "OPTIONS"}):
                yield str(method), path, handler.opt


@pytest.mark.parametrize("fields", [{}, {"csrf": ""}, {"csrf": "x" * 43}])
def test_a_form_of_another_site_is_refused(console: ConsoleSite, fields: dict[str, str]) -> None:
    visit = console.visit("admin")
    answer = visit.http.post(
        "/users", data={"name": "eve", "role": "admin", "password": "x" * 12} | fields
    )
    assert answer.status_code == 403
    assert "not of your session" in problem_in(answer.text)
