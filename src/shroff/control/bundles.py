"""Published bundles in a folder, each version in a folder of its own that never changes."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from shroff.collect import Schema
from shroff.decide.standing import own, require_fits
from shroff.errors import BundleError, ConfigurationError, NotFound
from shroff.package import Bundle, load, try_model
from shroff.package.compare import differences
from shroff.package.files import MANIFEST, Files
from shroff.private import private_folder

_VERSION: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class Bundles:
    """The bundles in a folder, by version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, version: str) -> bool:
        # a version may come from a user: only one of this form is safe as the name of a folder
        return (
            _VERSION.fullmatch(version) is not None and (self._place(version) / MANIFEST).exists()
        )

    @property
    def versions(self) -> list[str]:
        """All versions, oldest first."""
        found = (path.parent.name for path in self._folder.glob(f"versions/*/{MANIFEST}"))
        return sorted(version for version in found if _VERSION.fullmatch(version))

    def keep(self, files: Files, version: str) -> None:
        """Store the files of a bundle as a version, all of them or none."""
        place = self._place(version)
        private_folder(place.parent)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{version}."))
        try:
            files.write(draft)
            draft.rename(place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def load(self, version: str) -> Bundle:
        """The bundle of a version.

        Raises:
            NotFound: there is none.
            BundleError: it was altered.
        """
        if version not in self:
            raise NotFound(f"{self._folder}: there is no published model of version {version}.")
        bundle = load(self._place(version))
        if bundle.version != version:
            raise BundleError(
                f"{self._place(version)}: it is not the bundle that was published as this version."
            )
        return bundle

    def _place(self, version: str) -> Path:
        return self._folder / "versions" / version


def require_sound(bundle: Bundle) -> None:
    """Raise `BundleError` unless a bundle can decide."""
    try_model(bundle.model, bundle.preparation)
    policy = own(bundle).policy
    try:
        policy.require_no_cards(bundle.numbers)
        require_fits(policy, bundle)
    except ConfigurationError as error:
        raise BundleError(f"the bundle does not fit together: {error}") from None


def require_same_schema(current: Schema, given: Schema) -> None:
    """Raise `ConfigurationError` if payments of a new model have other fields than those now."""
    if found := differences(current, given):
        raise ConfigurationError(
            "the schema of this model is not that of the one in production: "
            f"{'; '.join(found)}. Pass `--accept-schema` to publish it all the same; services "
            "that run then go on with the model they have where payments get other fields, "
            "until they are started again."
        )
