"""What the pages for operators say of formats and alerts is what the code and the rules have."""

from __future__ import annotations

import re
from typing import Final

import yaml

from pages.markdown import ROOT
from shroff.features.engines.online import snapshot
from shroff.features.engines.online.redis import naming
from shroff.ledger import database
from shroff.package import bundle

OPERATIONS: Final = ROOT / "docs" / "operations"


def test_the_formats_are_those_of_the_code() -> None:
    page = (OPERATIONS / "upgrade.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w ]+?)(?: \(.+?\))? \| (.+?) \|", page, re.MULTILINE))
    assert rows["ledger"].startswith(
        f"{database.FORMAT_VERSION}; {database.SEALED_FORMAT_VERSION} where"
    )
    assert rows["bundle"] == str(bundle.FORMAT)
    assert rows["state in memory"] == f"snapshot {snapshot._FORMAT_VERSION}"
    assert rows["state in Redis"].startswith(f"{naming._FORMAT_VERSION}, ")


def test_every_alert_has_a_row() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    page = (OPERATIONS / "incidents.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == alerts
