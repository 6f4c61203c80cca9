"""A project's file: what it names is beside it, and what is wrong with it is said in its words."""

from __future__ import annotations

import runpy
from pathlib import Path

import polars as pl
import pytest

from shroff import Rates, Schema, load_project
from shroff.arguments import wrong_argument
from shroff.collect import clean
from shroff.errors import ConfigurationError
from shroff.store import payment_table

PROJECT = """
from shroff import Project, Rates, ReferenceTable, Schema, lookup

project = Project(
    schema=Schema(
        id="id",
        time="at",
        amount="amount",
        currency="currency",
        nominal=["mcc"],
        rates=Rates.read("rates.csv", base="EUR"),
        tables=[ReferenceTable.read("tables/mcc.csv", key="mcc", numeric=["risk"])],
        lookups=[lookup("risk", on="mcc")],
    )
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with its files, in a folder that is not the working directory."""
    folder = tmp_path / "bank"
    (folder / "tables").mkdir(parents=True)
    (folder / "project.py").write_text(PROJECT)
    (folder / "rates.csv").write_text("currency,rate,since\nUSD,0.91,2023-01-01\n")
    (folder / "tables" / "mcc.csv").write_text("mcc,risk\n5411,0.1\n")
    return folder


def test_files_are_those_beside_the_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "rates.csv").write_text("currency,rate,since\nUSD,7,2023-01-01\n")
    monkeypatch.chdir(elsewhere)
    schema = load_project(Path("..") / "bank").schema
    assert schema.rates is not None
    assert [rate.rate for rate in schema.rates.rates] == ["0.91"]
    assert schema.tables[0].columns["risk"] == (0.1,)


def test_a_missing_file_is_one_sentence_without_the_names_of_classes(folder: Path) -> None:
    (folder / "rates.csv").unlink()
    with pytest.raises(ConfigurationError) as caught:
        load_project(folder)
    assert str(caught.value) == (
        f"{folder}/project.py, line 11: {folder}/rates.csv: expected a CSV file of exchange rates "
        "in UTF-8, cannot read it: No such file or directory."
    )


def test_amounts_have_units_in_the_store_also_as_they_were_paid() -> None:
    rates = Rates.constant("EUR", {"USD": "0.91"})
    schema = Schema(id="id", time="at", amount="amount", currency="currency", rates=rates)
    log = {"id": "a", "at": "2024-05-04 10:00:00 UTC", "amount": 10.0, "currency": "USD"}
    columns = payment_table(clean(pl.DataFrame([log]), schema, key=b"").frame, schema).columns
    assert columns["amount"].unit == "minor units of EUR"
    assert columns["original_amount"].unit == "minor units of `currency`"


def test_a_project_that_exits_ends_no_command(folder: Path) -> None:
    (folder / "project.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(ConfigurationError, match=r"project\.py, line 2: SystemExit: 3"):
        load_project(folder)


def test_an_import_that_is_not_found_has_its_line_and_the_way_to_a_file_beside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "habits.py").write_text("")
    (folder / "project.py").write_text("import os\nimport habits\n")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigurationError) as caught:
        load_project("project.py")
    assert str(caught.value) == (
        "project.py, line 2: ModuleNotFoundError: No module named 'habits'; it is beside that "
        "file, where Python finds it after `export PYTHONPATH=.`."
    )
    (folder / "project.py").write_text("import missing_library\n")
    with pytest.raises(ConfigurationError, match=r"line 1: .* named 'missing_library'$"):
        load_project("project.py")


MISSPELT = {
    'Schema(\n    id="id",\n    lable="x",\n)': (
        "4: `Schema` has no argument `lable`: did you mean `label`?"
    ),
    "Cost(**dict(reveiw=4))": "2: `Cost` has no argument `reveiw`: did you mean `review`?",
    'Rule("a", "b", zz=1)': "2: `Rule` has no argument `zz`; there are name, condition, action.",
    'Schema(id="id", time="at")': "2: `Schema` needs `amount=…`.",
    "Project()": "2: `Project` needs `schema=…`.",
    'Rule("a", "b", condition="c")': "2: `Rule` has `condition` twice.",
    "Cost(review=4, **dict(review=5))": "2: `Cost` has `review` twice.",
    'Entity("card", "card", columns="c")': "2: `Entity` has `columns` twice.",
}


@pytest.mark.parametrize(("call", "expected"), MISSPELT.items())
def test_a_misspelt_argument_is_one_sentence_with_the_nearest_right_one(
    folder: Path, call: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a module makes the call that the project imports."""
    text = f"from shroff import Cost, Entity, Project, Rule, Schema\nmade = {call}\n"
    (folder / "project.py").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_project(folder)
    assert str(caught.value) == f"{folder}/project.py, line {expected}"
    (folder / "definitions.py").write_text(text)
    (folder / "project.py").write_text("import definitions\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ConfigurationError) as caught:
        load_project(folder)
    assert str(caught.value) == f"{folder}/definitions.py, line {expected}"


def test_a_newer_python_that_suggests_an_argument_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "definitions.py"
    file.write_text('from shroff import Rule\nmade = Rule("a", "b", acton="review")\n')
    with pytest.raises(TypeError) as caught:
        runpy.run_path(str(file))
    caught.value.args = (f"{caught.value}. Did you mean 'action'?",)
    said = f"{file}, line 2: `Rule` has no argument `acton`: did you mean `action`?"
    assert wrong_argument(caught.value) == said


def test_an_argument_of_another_type_is_not_missing(folder: Path) -> None:
    (folder / "project.py").write_text('made = open("x", mode=3)\n')
    with pytest.raises(ConfigurationError, match=r"line 1: TypeError: .* must be str, not int"):
        load_project(folder)


def test_paths_in_an_imported_module_are_those_beside_the_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "money_of_bank.py").write_text(
        'from shroff import Rates\nRATES = Rates.read("rates.csv", base="EUR")\n'
    )
    (shared / "rates.csv").write_text("currency,rate,since\nUSD,7,2023-01-01\n")
    (folder / "project.py").write_text(
        "from money_of_bank import RATES\n"
        + PROJECT.replace('Rates.read("rates.csv", base="EUR")', "RATES")
    )
    monkeypatch.syspath_prepend(shared)
    schema = load_project(folder).schema
    assert schema.rates is not None
    assert [rate.rate for rate in schema.rates.rates] == ["0.91"]
