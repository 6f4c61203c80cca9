"""Hold the Grafana dashboard against Grafana's own types: every name is one that Grafana knows,
every value fits it.

    python -m benchmarks.dashboard

Installs `@grafana/schema` and TypeScript from npm into a folder that is removed again. Exit code 1
when the types do not hold, 2 when npm is missing or fails. What Prometheus thinks of the queries is
asked by the tests.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

_DASHBOARD: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "shroff.json"
_PACKAGES: Final = ("@grafana/schema@13.2.3", "typescript@5")
# texts that are members of an enumeration: TypeScript wants them by their names
_MEMBERS: Final = (
    (r'"mode": "(normal|none|percent)"', lambda found: f'"mode": StackingMode.{found[1].title()}'),
    (
        r'"textMode": "(auto|name|value)"',
        lambda found: f'"textMode": BigValueTextMode.{found[1].title()}',
    ),
    (r'"refresh": 2', lambda found: '"refresh": VariableRefresh.onTimeRangeChanged'),
)
_PROGRAM: Final = """
import type {{ Dashboard, Panel, RowPanel }} from '{types}/veneer/dashboard.types';
import type {{ FieldConfig }} from '{types}/raw/composable/timeseries/panelcfg/x/types.gen';
import type {{ Options }} from '{types}/raw/composable/stat/panelcfg/x/types.gen';
import {{ StackingMode, BigValueTextMode, VariableRefresh }} from '{types}/index';

// the parts of a panel that its kind defines, of which a dashboard leaves out what is as usual
type Some<T> = T extends Array<infer E>
  ? Array<Some<E>>
  : T extends object ? {{ [K in keyof T]?: Some<T[K]> }} : T;
type Source = {{ type: string; uid: string }};
type Target = {{
  refId: string; expr: string; legendFormat?: string; instant?: boolean; datasource: Source;
}};
type Given = NonNullable<Panel['fieldConfig']>['defaults'];
type Defaults = Omit<Given, 'custom'> & {{ custom?: Some<FieldConfig> }};
type Drawn = Omit<Panel, 'fieldConfig' | 'options' | 'targets'> & {{
  targets: Target[];
  fieldConfig: {{ defaults: Defaults; overrides: [] }};
  options?: Some<Options>;
}};
export const dashboard: Dashboard = {dashboard};
export const rows: RowPanel[] = {rows};
export const panels: Drawn[] = {panels};
"""
_FLAGS: Final = (
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--moduleResolution",
    "bundler",
    "--module",
    "esnext",
)


def main() -> int:
    """Check, and print what does not hold."""
    npm = shutil.which("npm")
    if npm is None:
        print("not run: npm is not installed.", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="shroff-dashboard-") as name:
        folder = Path(name)
        (folder / "package.json").write_text("{}")
        install = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
            *_PACKAGES,
        ]
        if subprocess.run(install, cwd=folder, check=False).returncode:
            return 2
        (folder / "check.ts").write_text(program(json.loads(_DASHBOARD.read_text())))
        checked = subprocess.run(
            [folder / "node_modules/.bin/tsc", *_FLAGS, "check.ts"], cwd=folder, check=False
        )
    print("the dashboard is as Grafana's types say." if checked.returncode == 0 else "it is not.")
    return min(checked.returncode, 1)


def program(dashboard: dict[str, Any]) -> str:
    """A TypeScript program that compiles when a dashboard has the right types."""
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    whole = {name: value for name, value in dashboard.items() if name != "panels"}
    return _PROGRAM.format(
        types="./node_modules/@grafana/schema/dist/types",
        dashboard=_literal(whole),
        rows=_literal(rows),
        panels=_literal(panels),
    )


def _literal(value: object) -> str:
    text = json.dumps(value, indent=1)
    for pattern, member in _MEMBERS:
        text = re.sub(pattern, member, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
