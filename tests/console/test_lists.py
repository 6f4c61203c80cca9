"""Lists in the console: an import that a second person agrees to, and values that equal nothing."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from console.site import problem_in, visiting
from serve.fixtures import POLICY, fitted_model, make_bundle
from shroff import Rule
from shroff.collect.personal import tokenizer
from shroff.console import ConsoleBackend
from shroff.control import Lists
from shroff.control.models import Models
from shroff.control.users import Users
from shroff.package import save
from shroff.settings import Settings

BLOCKED = "/lists/values?name=blocked"


def console(settings: Settings) -> ConsoleBackend:
    """A console of two admins, over a model whose rule compares e-mails with a list."""
    rules = [*POLICY.rules, Rule("mail", "email IN blocked", action="review")]
    policy = msgspec.structs.replace(POLICY, rules=rules)
    made = make_bundle(fitted_model(), policy=msgspec.to_builtins(policy))
    save(made, settings.home / "bundle")
    Models(settings.models).publish(settings.home / "bundle")
    for name in ("ada", "bob"):
        Users(settings.control).add(name, "admin")
    return ConsoleBackend(settings)


def test_an_imported_list_waits_for_a_second_person(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, consent="lists")
    lists, token = Lists(settings.control), tokenizer(settings.hmac_key())
    backend = console(settings)
    with visiting(backend, "ada") as ada, visiting(backend, "bob") as bob:
        assert "Propose" in ada.page(BLOCKED)
        values = "ada@example.org\r\neve@example.org"
        pasted = {"list": "blocked", "values": values, "personal": "yes", "note": "batch 7"}
        drafted = ada.send("/lists/import", **pasted)
        address = drafted.headers["location"]
        assert re.fullmatch("/proposals/[0-9]+", address), drafted.text
        assert lists.edits() == []
        assert f'href="{address}"' in bob.page(BLOCKED)
        own = ada.send(f"{address}/consent", to="live")
        assert "a second person's consent, got ada" in problem_in(own.text)
        assert lists.edits() == []
        assert bob.send(f"{address}/consent", to="live").status_code == 303
        kept = lists.edits()
        assert {one.value for one in kept} == {*map(token, values.split("\r\n"))}
        assert {(one.action, one.note) for one in kept} == {("add", "batch 7")}
        assert all("ada" in one.made_by and "bob" in one.made_by for one in kept)


def test_a_value_in_the_open_is_marked_where_hashes_are_compared(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    token = tokenizer(settings.hmac_key())("ada@example.org")
    with visiting(console(settings), "ada") as ada:
        sent = {"list": "blocked", "value": "ada@example.org", "personal": "yes", "step": "add"}
        assert ada.send("/lists/edit", **sent).status_code == 303
        shown = ada.page(BLOCKED)
    badge = r'</code> <span class="badge warn">equals no payment: no hash</span>'
    assert re.findall(f"<code>([^<]*){badge}", shown) == ["10.6.6.6"], "of the policy, in the open"
    assert f"<code>{token}</code></th>" in shown
