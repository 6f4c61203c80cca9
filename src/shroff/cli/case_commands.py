"""All commands of `shroff cases`."""

from __future__ import annotations

from shroff.cli.case_context import around, reasons
from shroff.cli.case_evidence import narrative, pack
from shroff.cli.case_follow import follow
from shroff.cli.cases import app

for command in (around, follow, narrative, pack, reasons):
    app.command()(command)
