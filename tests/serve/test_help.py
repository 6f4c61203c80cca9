"""The help page: whole, true, safe with any schema, and its examples run as they are copied."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE
from serve.audit import read_ledger
from serve.html import Element, parse
from serve.service import Service
from serve.site import HOSTILE, Site
from serve.test_openapi import fits
from shroff.serve.help.samples import KEY, LANGUAGES, samples
from shroff.serve.problem import KINDS

Json = dict[str, Any]
CSPROJ = """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>
  <OutputType>Exe</OutputType><TargetFramework>{framework}</TargetFramework>
  <ImplicitUsings>enable</ImplicitUsings><Nullable>enable</Nullable><TreatWarningsAsErrors>true</TreatWarningsAsErrors>
</PropertyGroup></Project>
"""


@pytest.fixture(scope="module")
def page(site: Site) -> Element:
    return parse(site.text)


def example(page: Element, language: str) -> str:
    """What somebody copies, one step after the other."""
    steps = [
        page.all("figure", data_language=language, data_example=step)
        for step in ("decision", "result", "label")
    ]
    return "\n".join(step.all("pre")[0].text for (step,) in steps)


def test_the_example_payment_is_accepted(site: Site) -> None:
    document = site.document
    (payment,) = document["components"]["schemas"]["Payment"]["examples"]
    assert fits(payment, document["components"]["schemas"]["Payment"], document)
    headers = {"authorization": f"Bearer {site.token}"}
    assert (
        site.service.request("POST", "/v1/decisions", json=payment, headers=headers).status_code
        == 200
    )


def test_the_page_needs_no_key_and_leads_to_itself(site: Site) -> None:
    response = site.service.request("GET", "/help")
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "text/html; charset=utf-8",
    )
    for path, place in [
        ("/", "/help"),
        ("/problems/too-large", "/help#problem-too-large"),
        ("/problems/%3Cb", None),
    ]:
        redirected = site.service.request("GET", path)
        assert redirected.is_redirect
        assert redirected.headers["location"] == (place or "/help#errors")


def test_it_may_do_only_what_it_is_written_to(site: Site, page: Element) -> None:
    headers = site.service.request("GET", "/help").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert (
        policy["default-src"]
        == policy["base-uri"]
        == policy["form-action"]
        == policy["frame-ancestors"]
        == "'none'"
    )
    assert policy["connect-src"] == "'self'"
    for name, directive in (("script", "script-src"), ("style", "style-src")):
        (element,) = page.all(name)
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert headers["x-content-type-options"] == "nosniff"


def test_nothing_is_fetched_from_elsewhere(page: Element) -> None:
    for element in page.all():
        assert not [
            name for name in element.attributes if name.startswith("on") or name == "style"
        ], element
        for name in ("src", "href", "action"):
            target = element.attributes.get(name, "#")
            assert target.startswith(("#", "data:image/svg+xml,", "openapi.json")), target
    assert not re.search(r"@import|url\(", page.all("style")[0].text)


def test_every_field_operation_and_problem_is_there(site: Site, page: Element) -> None:
    document = site.document
    codes = {element.text for element in page.all("code")}
    schemas = document["components"]["schemas"]
    for name in ("Payment", "Answer", "Reason", "Result", "Label"):
        assert set(schemas[name]["properties"]) <= codes
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            (title,) = page.all("h4", id=f"operation-{operation['operationId']}")
            assert title.text.split() == [method.upper(), path]
            assert operation["summary"] in page.text
    for kind in KINDS:
        (term,) = page.all("dt", id=f"problem-{kind.slug}")
        assert term.text.split() == [str(kind.status), kind.slug]


def test_a_field_tells_its_type_unit_need_and_example(page: Element) -> None:
    (section,) = page.all("section", id="payment")
    fields = {
        item.all("code")[0].text: " ".join(part.text for part in item.all("dt") + item.all("dd"))
        for item in section.all("div")
    }
    amount = "amount number required What is paid. Major units of currency. Example: 136.69."
    assert fields["amount"] == amount
    assert (
        "time required When the payment happened. ISO 8601, with its zone." in fields["created_at"]
    )
    assert "ISO 8601, with its zone; answered in ISO 8601, UTC" in " ".join(page.text.split())
    assert "text, number or boolean optional" in fields["mcc"]
    assert 'Example: "5411".' in fields["mcc"]
    personal = [name for name, text in fields.items() if "personal" in text.split()]
    assert personal in (["email"], [HOSTILE["shell"]])


def test_it_can_be_used_by_keyboard_and_ear(page: Element) -> None:
    identifiers = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(set(identifiers)) == len(identifiers)
    labelled = {label.attributes.get("for") for label in page.all("label")}
    wrapped = {
        control.attributes["id"] for label in page.all("label") for control in label.all("input")
    }
    for control in page.all("input"):
        assert control.attributes["id"] in labelled | wrapped
    for link in page.all("a"):
        target = link.attributes["href"]
        assert not target.startswith("#") or target[1:] in identifiers, target
    for element in page.all():
        for reference in element.attributes.get("aria-labelledby", "").split():
            assert reference in identifiers
    assert page.all("html")[0].attributes["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert all(
        block.attributes["tabindex"] == "0" and block.attributes["aria-label"]
        for block in page.all("pre")
    )


def test_the_answer_shown_is_one_that_can_be(site: Site, page: Element) -> None:
    blocks = {
        figure.all("figcaption")[0].text: figure.all("pre")[0].text for figure in page.all("figure")
    }
    document = site.document
    for title, schema in (
        ("200 OK", "Answer"),
        ("422 Unprocessable Content", "Problem"),
        ("A payment", "Payment"),
    ):
        assert fits(json.loads(blocks[title]), document["components"]["schemas"][schema], document)


def test_the_curl_example_runs_as_it_is(site: Site, page: Element) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    script = example(page, "curl").replace(KEY, site.token)
    done = subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert fits(answer, site.document["components"]["schemas"]["Answer"], site.document)
    told_of(site, answer["payment_id"])


def test_the_python_example_runs_as_it_is(site: Site, page: Element, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(example(page, "python").replace(KEY, site.token) + "\nprint(payment_id)\n")
    command = [sys.executable, "-W", "error::DeprecationWarning", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    decided, *reasons, payment_id = done.stdout.splitlines()
    assert re.fullmatch(r"(approve|review|decline) 0\.\d+", decided)
    assert all(reason.startswith("- ") for reason in reasons)
    told_of(site, payment_id)


def told_of(site: Site, payment_id: str) -> None:
    """The service has heard of the payment, its result and its label."""
    kinds = [
        entry.kind for entry in read_ledger(site.service.ledger) if entry.payment_id == payment_id
    ]
    assert sorted(kinds) == ["label", "payment", "result"]


def test_every_language_has_every_step(page: Element) -> None:
    choices = [choice.attributes["id"] for choice in page.all("input", name="language")]
    assert choices == [f"language-{language}" for language in LANGUAGES]
    for language in LANGUAGES:
        assert KEY in example(page, language)


def test_names_are_quoted_as_each_language_wants_it() -> None:
    payment: Json = {"id": "a", "at": "b", "if": 'say "1"', "card id": 5.5}
    made = samples(payment, id="id", time="at", origin="http://host")
    assert '    "if" = "say \\"1\\"",\n    "card id" = 5.5\n' in made["r"].decision
    assert '["if"] = "say \\"1\\"",\n    ["card id"] = 5.5,\n' in made["csharp"].decision
    assert '"if": "say \\\\"1\\\\"",' in made["curl"].decision


def test_the_r_example_runs_as_it_is(site: Site, page: Element, tmp_path: Path) -> None:
    has = ["Rscript", "-e", "library(httr2)"]
    if (
        shutil.which("Rscript") is None
        or subprocess.run(has, capture_output=True, check=False).returncode
    ):
        pytest.skip("R with httr2 is not installed: apt-get install r-cran-httr2")
    program = tmp_path / "example.R"
    program.write_text(
        example(page, "r").replace(KEY, site.token) + "\ncat(id)\n", encoding="utf-8"
    )
    # R reads a program in the encoding of its locale
    variables = {**os.environ, "LC_ALL": "C.UTF-8"}
    command = ["Rscript", str(program)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=variables, check=False
    )
    assert done.returncode == 0, done.stderr
    decided, *_, payment_id = done.stdout.splitlines()
    assert re.fullmatch(r"(approve|review|decline) 0\.\d+ ", decided)
    told_of(site, payment_id)


def test_the_csharp_example_runs_as_it_is(site: Site, page: Element, tmp_path: Path) -> None:
    if shutil.which("dotnet") is None:
        pytest.skip("the .NET SDK is not installed: https://dotnet.microsoft.com/download")
    variables = {**os.environ, "DOTNET_CLI_HOME": str(tmp_path), "DOTNET_CLI_TELEMETRY_OPTOUT": "1"}
    variables["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"  # no ICU is needed
    version = subprocess.run(
        ["dotnet", "--version"], capture_output=True, text=True, check=True, env=variables
    ).stdout
    major = int(version.partition(".")[0])
    code = example(page, "csharp").replace(KEY, site.token) + "\nConsole.WriteLine(id);\n"
    (tmp_path / "Program.cs").write_text(code if major > 5 else _before_net_6(code))
    framework = f"net{major}.0" if major > 4 else "netcoreapp3.1"
    (tmp_path / "example.csproj").write_text(CSPROJ.format(framework=framework))
    # nothing but the SDK itself
    (tmp_path / "nuget.config").write_text(
        "<configuration><packageSources><clear/></packageSources></configuration>"
    )
    build, run = (
        ["dotnet", "build", str(tmp_path), "-o", str(tmp_path / "out")],
        ["dotnet", f"{tmp_path}/out/example.dll"],
    )
    for command in (build, run):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=variables, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    decided, *reasons, payment_id = done.stdout.splitlines()
    assert re.fullmatch(r"(approve|review|decline) 0\.\d+", decided)
    assert all(reason.startswith("- ") for reason in reasons)
    told_of(site, payment_id)


def _before_net_6(code: str) -> str:
    """The same with what a project of .NET 6 says by itself: its usual namespaces, and statements
    without a class.
    """
    usings, statements = code.split("\n\n", 1)
    usual = "".join(
        f"using System{name};\n"
        for name in ("", ".Collections.Generic", ".Net.Http", ".Threading.Tasks")
    )
    return (
        f"#nullable enable\n{usual}{usings}\nclass Example {{ static async Task Main() "
        f"{{\n{statements}}} }}\n"
    )


@pytest.mark.parametrize("host", ['x"><i>', "$(exit)", "no host"])
def test_what_is_no_host_is_not_repeated(service: Service, host: str) -> None:
    sent = f"GET /help HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode()
    head, _, body = service.raw(sent).partition(b"\r\n\r\n")
    assert host.encode() not in head + body
    if b" 200 " in head.splitlines()[0]:
        assert b"http://localhost:8080" in body
