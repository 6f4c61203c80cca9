"""Bundles by somebody who wants to harm the machine: each is refused in one sentence, and leaves
nothing anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.fixtures import fitted_model, make_bundle
from shroff import Entity
from shroff.control.models import Models
from shroff.decide.decider import Decider
from shroff.embed import Vectors
from shroff.embed.learned import Lesson, TokenVectors
from shroff.errors import BadFile, BundleError, ShroffError
from shroff.evaluate.reference import TrainingReference
from shroff.package import load, save
from shroff.package.files import MAX_FILE_BYTES, VECTORS
from shroff.plain import read_plain
from shroff.serve.example import example_payment

Harm = Callable[[Path], object]
VECTORS_OF_TOWNS = TokenVectors(
    Lesson(
        definition=Vectors(
            name="town", entity=Entity("card", "card_id"), tokens=["mcc"], dimensions=2
        ),
        payments=9,
        pairs=9,
        latest=0,
    ),
    (("mcc", "5411"),),
    (3,),
    np.ones((1, 2), np.int16),
)
WIDE = {"name": "wide", "key": "c0", "columns": {f"c{at}": ["1"] for at in range(101)}}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "bundle"
    table, time = pl.DataFrame({"amount": [1.0, 2.0], "mcc": ["a", None]}), np.arange(2)
    reference = TrainingReference.of(table, time, None)
    save(make_bundle(fitted_model(), reference=reference), folder)
    return folder


def says(**changes: object) -> Harm:
    """A manifest that says something else."""

    def harm(bundle: Path) -> None:
        manifest = json.loads((bundle / "manifest.json").read_bytes()) | changes
        (bundle / "manifest.json").write_text(json.dumps(manifest))

    return harm


def lists(name: str) -> Harm:
    """A manifest that lists another file, which is there and as it says."""
    digest = hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest()

    def harm(bundle: Path) -> None:
        says(files=json.loads((bundle / "manifest.json").read_bytes())["files"] | {name: digest})(
            bundle
        )

    return harm


def holds(name: str, content: bytes) -> Harm:
    """A file of other content, under a manifest that says so."""

    def harm(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        files = json.loads((bundle / "manifest.json").read_bytes())["files"]
        says(files=files | {name: hashlib.sha256(content).hexdigest()})(bundle)

    return harm


def changes(name: str, change: Callable[[Any], object]) -> Harm:
    """A file in which a part was changed, under a manifest that says so."""

    def harm(bundle: Path) -> None:
        document = json.loads((bundle / name).read_bytes())
        change(document)
        holds(name, json.dumps(document).encode())(bundle)

    return harm


def instead(make: Callable[[Path], object], name: str = "policy.json") -> Harm:
    """Something else in the place of a file."""

    def harm(bundle: Path) -> None:
        (bundle / name).rename(bundle / "aside")
        make(bundle / name)

    return harm


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # the address of a socket is short
        one.bind(path.name)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


EVIL: dict[str, tuple[Harm, str]] = {
    "created climbs": (says(created="../../x"), "created"),
    "created climbs after a time": (says(created="20240101T000000Z/../../x"), "created"),
    "created is absolute": (says(created="/tmp/x"), "created"),
    "created holds NUL": (says(created="20240101T000000Z\0"), "created"),
    "created ends a line": (says(created="20240101T000000Z\n"), "created"),
    "created is no text": (says(created=["20240101T000000Z"]), "created"),
    "name commands the terminal": (says(name="good\x1b[2J"), "name"),
    "name is endless": (says(name="x" * 1_000), "name"),
    "fingerprint climbs": (says(fingerprint="../../x"), "fingerprint"),
    "format is an object": (says(format={"a": 1}), "format 2"),
    "format is a flag": (says(format=True), "format 2"),
    "no files": (says(files={}), "found none"),
    "files is a list": (says(files=["model.onnx"]), "files"),
    "digest is none": (says(files={"model.onnx": "0"}), "files"),
    "a file that climbs": (lists("../../../../../../etc/passwd"), "no other files"),
    "an absolute file": (lists("/etc/passwd"), "no other files"),
    "a file with NUL": (lists("model.onnx\0"), "no other files"),
    "a file in a folder": (lists("sub/model.onnx"), "no other files"),
    "the folder itself": (lists("."), "no other files"),
    "the manifest itself": (lists("manifest.json"), "no other files"),
    "an empty name": (lists(""), "no other files"),
    "a thousand files": (
        says(files={f"{n}.json": "0" * 64 for n in range(1_000)}),
        "no other files",
    ),
    "a link to a file": (instead(lambda path: path.symlink_to("aside")), "got a symbolic link"),
    "a link to a secret": (
        instead(lambda path: path.symlink_to("/etc/passwd")),
        "got a symbolic link",
    ),
    "a link to itself": (instead(lambda path: path.symlink_to(path.name)), "got a symbolic link"),
    "a link to an endless file": (
        instead(lambda path: path.symlink_to("/dev/zero")),
        "got a symbolic link",
    ),
    "a link to a folder": (instead(lambda path: path.symlink_to("/etc")), "got a symbolic link"),
    "a link as manifest": (
        instead(lambda path: path.symlink_to("aside"), "manifest.json"),
        "got a symbolic link",
    ),
    "a named pipe": (instead(os.mkfifo), "got a named pipe"),
    "a named pipe as manifest": (instead(os.mkfifo, "manifest.json"), "got a named pipe"),
    "a named pipe as model": (instead(os.mkfifo, "model.onnx"), "got a named pipe"),
    "a socket": (instead(listen), "got a socket"),
    "a folder": (instead(Path.mkdir), "got a folder"),
    "a folder as manifest": (instead(Path.mkdir, "manifest.json"), "got a folder"),
    "a huge sparse file": (instead(sparse, "model.onnx"), "expected at most 536,870,912 bytes"),
    "a huge policy": (instead(sparse), "expected at most 33,554,432 bytes"),
    "a huge manifest": (instead(sparse, "manifest.json"), "expected at most 1,048,576 bytes"),
    "a nested manifest": (
        lambda bundle: (bundle / "manifest.json").write_bytes(b'{"a":' * 200_000),
        "damaged",
    ),
    "nested JSON": (holds("policy.json", b'{"a":' * 1_000_000), "damaged"),
    "JSON in UTF-16": (holds("metrics.json", '{"a": 1}'.encode("utf-16")), "damaged"),
    "no JSON": (holds("inputs.json", b"{"), "damaged"),
    "other JSON": (holds("inputs.json", b"[1, 2]"), "not as this release writes it"),
    "a key twice": (
        holds("policy.json", b'{"review_at": 0.1, "review_at": 0.9}'),
        "`review_at` twice",
    ),
    "a manifest with a key twice": (
        lambda bundle: (bundle / "manifest.json").write_bytes(b'{"format": 2, "format": 2}'),
        "`format` twice",
    ),
    "no currency": (says(currency="1h"), "ISO 4217"),
    "shares of other values": (
        changes("inputs.json", lambda inputs: inputs["preparation"]["nominal"][0]["shares"].pop()),
        "inputs|preparation",
    ),
    "no spread": (
        changes("inputs.json", lambda inputs: inputs["preparation"]["numeric"][0].update(std=0.0)),
        "inputs|preparation",
    ),
    "vectors that no feature reads": (
        holds("vectors-1.arrow", VECTORS_OF_TOWNS.content),
        "got `town`, which none reads",
    ),
    "a schema of too many columns": (
        changes("schema.json", lambda schema: schema.update(nominal=[*map(str, range(2_000))])),
        "at most 2,000 columns, got 2,0",
    ),
    "a table of too many columns": (
        changes("schema.json", lambda schema: schema.update(tables=[WIDE])),
        "at most 100 columns",
    ),
    "a schema that does not fit": (
        holds("schema.json", b'{"id": "a", "time": "a", "amount": "a"}'),
        "schema.json",
    ),
}


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_bundle_is_refused_in_a_sentence_and_leaves_nothing(
    sound: Path, tmp_path: Path, name: str
) -> None:
    harm, sentence = EVIL[name]
    bundle, models = tmp_path / "bundle", Models(tmp_path / "home" / "models")
    shutil.copytree(sound, bundle)
    published = models.publish(sound)
    before = sorted(path for path in tmp_path.rglob("*") if bundle not in path.parents)
    harm(bundle)
    with pytest.raises(BundleError, match=sentence) as refused:
        load(bundle)
    assert "\n" not in str(refused.value)
    assert "root:" not in str(refused.value)
    with pytest.raises(BundleError, match=sentence):
        models.publish(bundle)
    assert sorted(path for path in tmp_path.rglob("*") if bundle not in path.parents) == before
    assert models.versions == [published.version] == [models.pointers.production]


def test_a_device_is_refused_and_not_read() -> None:
    with pytest.raises(BadFile, match="got a device"):
        read_plain(Path("/dev/zero"), 10)
    with pytest.raises(BadFile, match="got one with a NUL"):
        read_plain(Path("a\0b"), 10)


def test_a_file_that_grows_while_it_is_read_is_refused() -> None:
    # the kernel says that this file is empty, and gives more
    with pytest.raises(BadFile, match="changes while it is read"):
        read_plain(Path("/proc/self/status"), 10_000)


def test_hard_links_are_files_of_which_a_version_has_its_own(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "bundle", copy_function=os.link)
    models = Models(tmp_path / "models")
    place = models.folder / "versions" / models.publish(tmp_path / "bundle").version
    assert {path.stat().st_nlink for path in place.iterdir()} == {1}


def test_what_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_FILE_BYTES, "policy.json", 10)
    with pytest.raises(BundleError, match=r"expected at most 10 bytes in `policy\.json`"):
        save(make_bundle(fitted_model()), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


WORTHLESS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(MAX_FILE_BYTES.keys() - {"model.onnx", *VECTORS})), data=st.data()
)
def test_any_other_value_anywhere_in_a_bundle_is_taken_or_refused_in_a_sentence(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    bundle = tmp_path_factory.mktemp("changed") / "bundle"
    shutil.copytree(sound, bundle)
    changed = json.loads((bundle / name).read_bytes())
    _change(changed, data)
    content = json.dumps(changed).encode()
    if name == "manifest.json":
        (bundle / name).write_bytes(content)
    else:
        holds(name, content)(bundle)
    try:
        models = Models(bundle.parent / "models")
        models.publish(bundle)
        kept, standing = models.in_production()
        Decider(kept, standing)
        example_payment(kept.schema, kept.preparation, currency=kept.currency)
    except ShroffError as error:
        assert "\n" not in str(error)  # noqa: PT017  # what is taken is as good
    shutil.rmtree(bundle.parent)


def _change(value: Any, data: st.DataObject) -> None:
    """Put something else into one place of a JSON document."""
    while True:
        keys = sorted(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(value[key], dict | list) and value[key] and data.draw(st.booleans())):
            value[key] = data.draw(WORTHLESS)
            return
        value = value[key]
