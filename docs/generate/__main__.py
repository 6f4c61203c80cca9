"""Write the reference: `python -m docs.generate`."""

from __future__ import annotations

from pathlib import Path

from docs.generate import pages

_FOLDER = Path(__file__).parents[1] / "reference"


def main() -> None:
    """Write every page, and remove those that are no more."""
    written = pages()
    for old in _FOLDER.rglob("*.md"):
        if str(old.relative_to(_FOLDER)) not in written:
            old.unlink()
    for name, text in written.items():
        place = _FOLDER / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    print(f"{_FOLDER}: {len(written)} pages")


main()
