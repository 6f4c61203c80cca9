"""A page run from its first block to its last, in a folder of its own, as a reader would."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import Any, Final, Self
from unittest.mock import patch
from xml.etree import ElementTree

import httpx
import yaml

from pages.markdown import Block
from patience import PATIENCE, until
from program import environment
from servers import free_port
from web import TRUST

PORT: Final = "8080"
"""What pages call the port of the service."""
ADDRESSES: Final = {
    "redis": r"redis://127\.0\.0\.1:6379/0",
    "postgres": r"postgresql\+psycopg://shroff@127\.0\.0\.1:5432/postgres",
}
"""What pages call the addresses of servers."""
SERVED: Final = re.compile(r"\s*(?:[A-Z_]+=\S* )*shroff (?:serve|console)\b")
FLAGS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_NUMBER: Final = re.compile(r"\d[\d,.]*")


class Reader:
    """Does what a page says; at its end the services that it started are ended.

    `sh` is run by bash, with the folder and variables that the block before left; a line that
    serves goes on beside it. `python` is a doctest, a file of the name in its first line, or run
    as it is.
    A block of `text` or `json` after one of `sh` is what that printed.
    """

    def __init__(self, folder: Path, programs: Path, servers: Mapping[str, str]) -> None:
        self._folder = folder
        self._port = free_port()
        home = environment(folder, folder / ".shroff") | {"SHROFF_PERSONAL_KEY": "5e" * 32}
        python = str(Path(sys.executable).parent)
        path = os.pathsep.join([str(programs), python, home["PATH"]])
        self._variables = {**home, "PATH": path, "COLUMNS": "110"}
        self._servers = servers
        self._names: dict[str, Any] = {}
        self._printed: str | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        # what a page opened, such as a producer of messages, ends with it
        self._names.clear()
        # another page may have another file of the same name
        for name, module in [*sys.modules.items()]:
            if (getattr(module, "__file__", None) or "").startswith(f"{self._folder}{os.sep}"):
                del sys.modules[name]

    def read(self, block: Block) -> None:
        """Do what a block says; what goes wrong is an AssertionError with its place."""
        printed, self._printed = self._printed, None
        if file := block.said("file"):
            printed = None
            (self._folder / file).write_text(block.text, encoding="utf-8")
        match block.kind:
            case "sh" | "bash":
                self._printed = self._run(block)
            case "python":
                self._python(block)
            case "text":
                # elsewhere it is a picture of something
                if printed is not None:
                    same_output(block, block.text, printed)
            case "json" if printed is not None:
                same_shape(block, printed)
            case _:
                parse(block)

    def skip(self) -> None:
        """Leave a block out; what follows it is not what an earlier one printed."""
        self._printed = None

    def _run(self, block: Block) -> str:
        script = self._here(block.text)
        if SERVED.match(script):
            self._serve(block, script)
            return ""
        state = self._folder / ".variables"
        whole = f"set -e\n{script}\nset +e\nexport -p > {shlex.quote(str(state))}\n"
        done = subprocess.run(
            ["bash", "-c", f"cd {shlex.quote(str(self._folder))}\n{whole}"],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        ended = f"{block.place}: exit code {done.returncode}: {script}\n{done.stdout}{done.stderr}"
        assert done.returncode == int(block.said("ends with") or 0), ended
        if done.returncode:
            return done.stdout + done.stderr
        for name, value in re.findall(r'^declare -x (\w+)="(.*)"$', state.read_text(), re.M):
            self._variables[name] = value.replace('\\"', '"').replace("\\$", "$")
        return done.stdout

    def _serve(self, block: Block, script: str) -> None:
        log = self._folder / ".service.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {script.strip()} --port {self._port}"],
                cwd=self._folder,
                env=self._variables,
                stdout=output,
                stderr=output,
            )
        self._open.callback(process.wait, PATIENCE)
        self._open.callback(process.terminate)

        def ready() -> bool:
            assert process.poll() is None, f"{block.place}: {log.read_text()}"
            try:
                answer = httpx.get(
                    f"http://127.0.0.1:{self._port}/health/ready", timeout=PATIENCE, verify=TRUST
                )
            except httpx.TransportError:
                return False
            return answer.status_code == httpx.codes.OK

        until(ready, said=log.read_text)

    def _python(self, block: Block) -> None:
        text = self._here(block.text)
        named = re.match(r"# (\S+\.py)\n", text)
        if named:
            file = self._folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            compile(text, block.place, "exec")
            return
        with (
            chdir(self._folder),
            patch.dict(os.environ, self._variables, clear=True),
            patch.object(sys, "path", [str(self._folder), *sys.path]),
        ):
            if ">>>" not in text:
                exec(compile(text, block.place, "exec"), self._names)
                return
            parsed = doctest.DocTestParser().get_doctest(text, self._names, block.place, None, 0)
            told: list[str] = []
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            failed = runner.run(parsed, out=told.append, clear_globs=False).failed
            self._names.update(parsed.globs)
            assert not failed, f"{block.place}: {''.join(told)}"

    def _here(self, text: str) -> str:
        """With the ports of this page's service, and of the servers that were started for it."""
        for name, url in self._servers.items():
            text = re.sub(ADDRESSES[name], url, text)
        return re.sub(rf"(localhost|127\.0\.0\.1):{PORT}\b", rf"\g<1>:{self._port}", text)


def same_output(block: Block, wanted: str, got: str) -> None:
    """What is shown is what was printed; `…` stands for anything, and where figures vary each
    number for any number.
    """
    if block.note == "figures vary":
        wanted, got = (_NUMBER.sub("0", re.sub(r"-?(?=\d)", "", text)) for text in (wanted, got))
    wanted = wanted.replace("…", "...")
    got = got.replace("…", "...")
    same = doctest.OutputChecker().check_output(wanted, got, FLAGS)
    assert same, f"{block.place}: expected\n{wanted}\ngot\n{got}"


def same_shape(block: Block, got: str) -> None:
    """The names and kinds of values in the JSON that is shown are those in what was printed."""
    shown, answered = shape(json.loads(block.text)), shape(json.loads(got))
    assert shown == answered, f"{block.place}: expected {shown}, got {answered}"


def shape(value: Any) -> Any:
    """The names in a document, and the kinds of its values; of a list the first."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return (
        "number"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else type(value).__name__
    )


def parse(block: Block) -> None:
    """A block of data is of its kind."""
    match block.kind:
        case "json":
            json.loads(block.text)
        case "toml":
            tomllib.loads(block.text)
        case "yaml":
            list(yaml.safe_load_all(block.text))
        case "xml":
            ElementTree.fromstring(block.text)
        case "csv":
            rows = [line.count(",") for line in block.text.splitlines()]
            assert len(set(rows)) == 1, f"{block.place}: rows of different lengths"
        case "properties":
            lines = [line for line in block.text.splitlines() if line and not line.startswith("#")]
            assert all("=" in line for line in lines), f"{block.place}: expected NAME=VALUE"
        case kind:
            raise AssertionError(f"{block.place}: expected a language with a check, got `{kind}`")
