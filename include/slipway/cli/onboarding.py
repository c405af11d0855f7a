"""`slipway new SERVICE --repo URL`: looks into a repository, asks what it does not tell, and gives the catalog's file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from slipway.errors import CatalogError

if TYPE_CHECKING:
    from slipway.catalog.recognition import Choice, Files, Found, Stack

CLONE_S = 120
OTHERS = {
    "build.gradle": "Gradle",
    "build.gradle.kts": "Gradle",
    "Cargo.toml": "Rust",
}
"""Files of projects for which there is no stack."""


def written(
    service: str, title: str, team: str, repo: str, config: str | None, said: Sequence[str], *, asks: bool
) -> str:
    """Give the text of the file of a service.

    :param repo: the source repository, as the catalog and git name it. :param config: that of the manifests, if another.
    :param said: what words of the catalog are, as ``word=value``.
    :param asks: whether a person is asked for what is undecided.
    :raises CatalogError: if it stays so, or the repository is of no stack.
    """
    from slipway.catalog.recognition import Guess, deployment, entry

    whole = looked_into(repo)
    given = {word: value for word, _, value in (one.partition("=") for one in said)}
    files = whole.below(given["source.path"]) if "source.path" in given else whole
    found = stack_of(files, given.get("stack"), asks=asks).look(files, datetime.now(UTC).date())
    if not files.text("Dockerfile"):
        raise CatalogError(
            f"{repo} has no Dockerfile at its top, which the image is built from.",
            code="new.dockerfile-missing",
            remedy="Commit one; `image.dockerfile` of the catalog may name another path, once the file is written.",
        )
    manifests = deployment(looked_into(config) if config else whole)
    found.known |= manifests.known
    found.open += manifests.open
    for word, value in given.items():
        found.known[word] = Guess(yaml.safe_load(value), "--set")
        found.open = [choice for choice in found.open if choice.word != word]
    decide(found, asks=asks)
    known = "deploy.deployment" in manifests.known or config
    return entry(service, title, team, repo, config or (repo if known else f"config/{service}"), found)


def stack_of(files: Files, said: str | None, *, asks: bool) -> Stack:
    """Give the stack of a repository: the one that is said, or that its files say.

    :raises CatalogError: naming the files that say so, if it is none that there is, or several.
    """
    from slipway.catalog.recognition import STACKS, Found, recognised

    stacks = {one.name: one for one in STACKS}
    if said in stacks:
        return stacks[said]
    guesses = recognised(files)
    if said or not guesses:
        others = [f"{name} ({kind})" for name, kind in OTHERS.items() if name in files]
        what = (
            ", ".join(others) or "none of the files that " + " or ".join(one.title for one in STACKS) + " has"
        )
        raise CatalogError(
            f"There is no stack `{said}`."
            if said
            else f"There is no stack for this repository: it has {what}.",
            code="new.stack-unknown",
            remedy=f"There are: {', '.join(stacks)}. Say one by --set stack=NAME, or write the file without --repo, with "
            "commands of your own (docs/catalog.md).",
        )
    found = Found()
    found.say("stack", guesses)
    decide(found, asks=asks)
    return stacks[found.value("stack")]


def looked_into(url: str) -> Files:
    """Give the files of a repository's default branch.

    :raises CatalogError: if it cannot be cloned.
    """
    from slipway.catalog.recognition import Files
    from slipway.catalog.recognition.findings import TEXT_MOST
    from slipway.errors import SlipwayError
    from slipway.process import run

    with tempfile.TemporaryDirectory(prefix="slipway-new-") as folder:
        try:
            run(["git", "clone", "--quiet", "--depth", "1", "--", url, folder], timeout_s=CLONE_S)
            names = run(["git", "-C", folder, "ls-files", "-z"], timeout_s=60)
        except SlipwayError as error:
            raise CatalogError(
                f"{url} cannot be cloned: {error.message}",
                code="new.repository-unreadable",
                remedy="Give a URL, or a folder, that `git clone` takes with your own credentials.",
            ) from error
        listed = names.decode(errors="surrogateescape").split("\0")
        return Files({one: _text(Path(folder), one, TEXT_MOST) for one in listed if one})


def _text(folder: Path, name: str, most: int) -> str | None:
    path = folder / name
    if path.is_symlink() or not path.is_file() or path.stat().st_size > most:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def decide(found: Found, *, asks: bool) -> None:
    """Let a person decide what is open.

    :raises CatalogError: if nobody is asked: with each word, what is possible, and why.
    """
    if found.open and not asks:
        raise CatalogError(
            "The repository does not say what these words of the catalog are:\n"
            + "\n".join(f"  {one}" for one in found.open),
            code="new.undecided",
            remedy="Say it by --set WORD=VALUE (YAML), once for each, or leave out --no-input to be asked.",
        )
    for choice in found.open:
        found.known[choice.word] = _asked(choice)
    found.open.clear()


def _asked(choice: Choice) -> Any:
    from slipway.catalog.recognition import Guess

    for number, one in enumerate(choice.guesses, 1):
        click.echo(f"  {number}: {one.value}   # {one.because}", err=True)
    if choice.guesses:
        legal = click.IntRange(1, len(choice.guesses))
        return choice.guesses[click.prompt(f"{choice.word}: which of them?", type=legal, err=True) - 1]
    return Guess(
        yaml.safe_load(click.prompt(f"{choice.word}: nothing tells; what is it (YAML)?", err=True)),
        "asked for",
    )
