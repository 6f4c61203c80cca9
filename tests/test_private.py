"""Files and folders for their owner only, whatever the umask."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from modes import mode
from serve.fixtures import fitted_model, make_bundle
from shroff import Policy, cli
from shroff.control.models import Models
from shroff.package import save
from shroff.private import private_file, private_folder


@pytest.mark.usefixtures("any_umask")
def test_what_is_made_is_for_its_owner_and_what_is_there_stays(tmp_path: Path) -> None:
    private_file(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / place) for place in ("a", "a/b", "a/b/c")] == [0o700, 0o700, 0o600]
    (tmp_path / "shared").mkdir(mode=0o750)
    (tmp_path / "shared").chmod(0o750)
    (tmp_path / "shared" / "file").write_text("kept")
    (tmp_path / "shared" / "file").chmod(0o640)
    private_file(tmp_path / "shared" / "file")
    private_folder(tmp_path / "shared")
    assert [mode(tmp_path / place) for place in ("shared", "shared/file")] == [0o750, 0o640]
    assert (tmp_path / "shared" / "file").read_text() == "kept"


@pytest.mark.usefixtures("any_umask")
def test_what_is_written_of_a_defect_is_for_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", fail)
    for kept in (".shroff", "kept"):
        with pytest.raises(SystemExit):
            cli.main()
        assert mode(tmp_path / kept) == 0o700
        assert mode(tmp_path / kept / "crash.log") == 0o600
        (tmp_path / kept / "crash.log").unlink()
        # also where another setting is wrong
        monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "kept"))
        monkeypatch.setenv("SHROFF_NOTHING", "1")
    assert not (tmp_path / ".shroff" / "crash.log").exists()


def test_a_defect_whose_details_cannot_be_kept_is_a_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert (
        "unexpected ZeroDivisionError; this is a defect of Shroff, its details cannot be"
        in capsys.readouterr().err
    )


def test_a_full_disk_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pl.select(pl.int_range(100_000))
    monkeypatch.setattr(cli, "app", lambda: rows.write_parquet("/dev/full"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "shroff: a disk is full: make room" in capsys.readouterr().err


def test_too_little_memory_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", lambda: bytearray(1 << 60))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "there is not enough memory for this" in capsys.readouterr().err


@pytest.mark.usefixtures("any_umask")
def test_what_is_published_is_for_its_owner(tmp_path: Path) -> None:
    save(make_bundle(fitted_model()), tmp_path / "bundle")
    models = Models(tmp_path / "home" / "models")
    models.publish(tmp_path / "bundle")
    models.publish_policy(Policy(review_at=0.5, decline_at=0.6))
    made = [*tmp_path.glob("bundle/*"), *(tmp_path / "home").rglob("*")]
    assert {mode(path) for path in made if path.is_file()} == {0o600}
    assert {mode(path) for path in (tmp_path / "bundle", *made) if path.is_dir()} == {0o700}
    assert {path.name for path in made} >= {"pointers.json", ".lock", "model.onnx", "policies"}
