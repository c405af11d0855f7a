"""What each image is made of, and its key: a hash over that.

An image's key is over its folder, over what its Dockerfile takes of `shared`, and over its bases' keys. It is the image's
tag and its label `dev.slipway.key`: a registry that knows the key needs no build, whoever built it and whenever.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.errors import CatalogError
from slipway.toolboxes import rootfs

FOLDER = Path(__file__).resolve().parents[3] / "toolboxes"
LISTED = "images.toml"


@dataclass(frozen=True)
class Recipes:
    """The images that a folder holds the makings of.

    :param folder: the context of every build.
    :param bases: of each image, the build arguments that name images, and which; "" is Debian's root file system. An image
        comes after those that it stands on.
    :param names: of images that Dockerfiles build on, the public names that they stand for.
    :param folders: of images that are made as another, on another base: that one's folder. :param suites: of images on another
        root file system, Debian's suite. :param asked: images that are made only if they are asked for.
    """

    folder: Path
    bases: Mapping[str, Mapping[str, str]]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    suites: Mapping[str, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path = FOLDER) -> Recipes:
        """Give the images that `images.toml` in a folder lists.

        :raises CatalogError: if it is not there, or lists what cannot be built.
        """
        listed = folder / LISTED
        try:
            found = tomllib.loads(listed.read_text(encoding="utf-8"))
        except OSError as error:
            raise CatalogError(
                f"{listed} cannot be read: {error.strerror}: the toolboxes are not here",
                code="toolboxes.folder-missing",
                remedy="run the command in a checkout of Slipway, or name its folder `toolboxes` by --folder",
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise CatalogError(
                f"{listed} is not TOML: {error}", code="toolboxes.list-malformed", remedy="correct that line"
            ) from error
        names = {
            name: [str(one) for one in bases.pop("names")]
            for name, bases in found.items()
            if isinstance(bases, dict) and isinstance(bases.get("names"), list)
        }
        tables = {name: bases for name, bases in found.items() if isinstance(bases, dict)}
        folders, suites = (
            {name: str(bases.pop(word)) for name, bases in tables.items() if word in bases}
            for word in ("folder", "suite")
        )
        asked = {name for name, bases in tables.items() if bases.pop("optional", False) is True}
        for name, bases in found.items():
            if not isinstance(bases, dict) or not all(isinstance(base, str) for base in bases.values()):
                raise CatalogError(
                    f"{listed}: {name} is no table of build arguments and images",
                    code="toolboxes.list-malformed-entry",
                    remedy='write `[NAME]`, and below it `ARGUMENT = "IMAGE"` for each image that its Dockerfile stands on',
                )
        return cls(folder, _in_order(found, listed), names, folders, suites, frozenset(asked))

    def suite(self, name: str) -> str:
        """Give the suite of Debian that an image is of: that of the lowest of its `BASE`s."""
        while base := self.bases[name].get("BASE"):
            name = base
        return self.suites.get(name, rootfs.SUITE)

    def place(self, name: str) -> Path:
        """Give the folder that an image is made of."""
        return self.folder / self.folders.get(name, name)

    def of_names(self, public: Iterable[str]) -> tuple[str, ...]:
        """Give the images that stand for public names.

        :raises CatalogError: if a name is none of them.
        """
        known = {one: name for name, names in self.names.items() for one in names}
        for name in public:
            if name not in known:
                near = difflib.get_close_matches(name, known, 3, 0.5) or sorted(known)
                raise CatalogError(
                    f"Nothing here stands for `{name}`.",
                    code="bases.name-unknown",
                    remedy=f"the nearest: {', '.join(near)}; others are yours to push and to add (`slipway bases add`)",
                )
        return tuple(known[one] for one in public)

    def parted(self, images: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Give images as `images` and as `base_images` of a platform file have them: the last by the public names."""
        own = {name: ref for name, ref in images.items() if name not in self.names}
        public = {one: images[name] for name, names in self.names.items() if name in images for one in names}
        return own, public

    def needed(self, only: Iterable[str] = ()) -> tuple[str, ...]:
        """Give some of the images with all that they stand on, in the order in which they can be built.

        If none is named, all but those that are made only if they are asked for.

        :raises CatalogError: if one is not known.
        """
        wanted = set(only) or set(self.bases) - self.asked
        for name in sorted(wanted - set(self.bases)):
            meant = difflib.get_close_matches(name, self.bases, 1)
            raise CatalogError(
                f"There is no image `{name}`" + (f"; did you mean `{meant[0]}`?" if meant else "."),
                code="toolboxes.image-unknown",
                remedy=f"there are: {', '.join(self.bases)}",
            )
        for name in reversed([*self.bases]):
            if name in wanted:
                wanted |= {base for base in self.bases[name].values() if base}
        return tuple(name for name in self.bases if name in wanted)

    def keys(self, base_image: str | None = None) -> dict[str, str]:
        """Give each image's key, 16 hexadecimal digits.

        :param base_image: what the lowest stand on, in place of Debian's root file system.
        """
        given = base_image or rootfs.identity()
        found: dict[str, str] = {}
        for name, bases in self.bases.items():
            digest = hashlib.sha256()
            for file in (file for part in self._parts(name) for file in self._files(part)):
                facts = (
                    file.relative_to(self.folder),
                    bool(file.stat().st_mode & 0o100),
                    file.stat().st_size,
                )
                digest.update("\0".join(map(str, facts)).encode() + b"\0")
                digest.update(file.read_bytes())
            suite = self.suite(name)
            root = given if suite == rootfs.SUITE else rootfs.identity(suite)
            below = hashlib.sha256(root.encode()).hexdigest()
            for base in bases.values():
                digest.update((found[base] if base else below).encode())
            found[name] = digest.hexdigest()[:16]
        return found

    def _files(self, part: Path) -> list[Path]:
        """Give what of a folder is in a build's context: not what tools leave in a checkout (`.dockerignore`)."""
        return sorted(
            path
            for path in part.rglob("*")
            if path.is_file()
            and not any(
                one.startswith(".") or one == "__pycache__" for one in path.relative_to(self.folder).parts
            )
        )

    def _parts(self, name: str) -> list[Path]:
        dockerfile = self.place(name) / "Dockerfile"
        if not dockerfile.is_file():
            raise CatalogError(
                f"image {name}: {dockerfile} is missing: the checkout is not whole",
                code="toolboxes.dockerfile-missing",
                remedy=f"restore it (`git status`), or take {name} out of {self.folder / LISTED}",
            )
        text = dockerfile.read_text(encoding="utf-8")
        shared = sorted((self.folder / "shared").iterdir())
        return [self.place(name), *(part for part in shared if f"shared/{part.name}" in text)]


def _in_order(found: Mapping[str, Mapping[str, str]], listed: Path) -> dict[str, Mapping[str, str]]:
    """Give the images as they are listed, but each after those that it stands on."""
    ordered: dict[str, Mapping[str, str]] = {}
    waiting = dict(found)
    while waiting:
        ready = [n for n, bases in waiting.items() if all(not b or b in ordered for b in bases.values())]
        if not ready:
            raise CatalogError(
                f"{listed}: {', '.join(waiting)} stand on each other, or on an image that is not listed",
                code="toolboxes.bases-unclear",
                remedy="correct what they stand on",
            )
        for name in ready:
            ordered[name] = waiting.pop(name)
    return ordered
