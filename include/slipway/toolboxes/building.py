"""Brings images into an engine and a registry by the shortest way: what is there already is not made again.

What reaches a build of this machine (index, certificates, mirrors) is a secret of BuildKit: it is in no layer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from slipway.adapters.registry import Registry
from slipway.errors import Permanent, Transient
from slipway.toolboxes import rootfs
from slipway.toolboxes.clients import PackageClients
from slipway.toolboxes.engine import Engine
from slipway.toolboxes.recipes import Recipes

BUILD_TIMEOUT_S = 1800
AT_ONCE = 2
TELL_EVERY_S = 20.0
LABEL = "dev.slipway"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Arguments that BuildKit knows by itself: they stay out of the image."""


class Step(StrEnum):
    """What is to be done for an image."""

    PULL = "pull"
    PUSH = "push"
    BUILD = "build"


def steps(
    recipes: Recipes,
    names: Collection[str],
    *,
    in_registry: Collection[str],
    in_engine: Collection[str],
    push: bool,
) -> dict[str, Step]:
    """Decide what is to be done so that the registry has each of some images, and what is built has what it stands on.

    :param in_engine: images that can be built upon.
    :param push: whether the registry is to have them; otherwise only the engine is.
    """
    found: dict[str, Step] = {}
    built_upon: set[str] = set()
    for name in reversed([name for name in recipes.bases if name in names]):
        is_lacking = name in built_upon and name not in in_engine
        if name in in_registry:
            if is_lacking:
                found[name] = Step.PULL
        elif name not in in_engine:
            found[name] = Step.BUILD
            built_upon |= set(recipes.bases[name].values())
        elif push:
            found[name] = Step.PUSH
    return dict(reversed(found.items()))


@dataclass(frozen=True)
class Target:
    """Where images go.

    :param registry: the registry with an account that may push.
    :param prefix: what their repositories begin with, such as `slipway`.
    """

    registry: Registry
    prefix: str

    def repository(self, name: str) -> str:
        """Give the repository of an image."""
        return f"{self.prefix}/{name}"

    def name(self, name: str) -> str:
        """Give an image's name without tag or digest."""
        return f"{self.registry.address}/{self.repository(name)}"


@dataclass
class Builder:
    """Builds the images of a folder on one engine for one registry.

    :param folder: keeps Debian's root file system and the builds' logs.
    :param tell: told each step, a line each.
    :param base_image: what the lowest stand on, in place of Debian's root file system made here.
    """

    recipes: Recipes
    engine: Engine
    target: Target
    folder: Path
    tell: Callable[[str], None]
    base_image: str | None = None
    clients: PackageClients = field(default_factory=PackageClients.of_this_machine)
    _telling: threading.Lock = field(default_factory=threading.Lock, init=False)

    @cached_property
    def keys(self) -> dict[str, str]:
        """Give each image's key."""
        return self.recipes.keys(self.base_image)

    def in_registry(self, names: Collection[str]) -> dict[str, str]:
        """Give the digests of those images that the registry has.

        :raises Permanent: if the account is refused.
        :raises Transient: if the registry does not answer.
        """
        keys, target = self.keys, self.target

        def asked(name: str) -> str | None:
            return target.registry.digest(target.repository(name), keys[name])

        try:
            with ThreadPoolExecutor(len(names)) as asking:
                digests = dict(zip(names, asking.map(asked, names), strict=True))
        except (Permanent, Transient) as refusal:
            remedy = {
                "registry.account-refused": f"sign in (`docker login {target.registry.address}`), or name an account that may "
                "push by --username and --password-file",
                "registry.unreachable": "see that it runs, and speaks HTTPS; name the authority of its certificate by --ca-file, "
                "if that is not one of the system's",
            }
            raise type(refusal)(
                refusal.message, code=refusal.code, remedy=remedy.get(refusal.code, refusal.remedy)
            ) from refusal
        return {name: digest for name, digest in digests.items() if digest}

    def ensure(self, names: Collection[str], *, push: bool = True) -> dict[str, str]:
        """See to it that the registry has some images as the folder has them now.

        :param names: with all that they stand on.
        :param push: False builds them in the engine only, and asks no registry.
        :returns: their references by digest; by tag if they are not pushed.
        :raises Permanent: if an image cannot be built, or the account is refused; says which, why, and what to do.
        :raises Transient: if engine, registry or an index does not do its part.
        """
        refs, todo = self._todo(names, push)
        if todo:
            self.folder.mkdir(parents=True, exist_ok=True)
            suites = {self.recipes.suite(name) for name in todo}
            with self._alone(), self._secrets(suites) as secrets:
                refs, todo = self._todo(names, push)  # who was waited for may have made it
                refs |= self._all(todo, refs, secrets, push)
        return {name: refs.get(name) or self._local(name) for name in names}

    def _todo(self, names: Collection[str], push: bool) -> tuple[dict[str, str], dict[str, Step]]:
        digests = self.in_registry(names) if push else {}
        refs = {name: f"{self.target.name(name)}@{digest}" for name, digest in digests.items()}
        there = self.engine.held()
        todo = steps(
            self.recipes,
            names,
            in_registry=refs,
            in_engine=[name for name in names if self._local(name) in there],
            push=push,
        )
        return refs, todo

    def _local(self, name: str) -> str:
        return f"slipway/{name}:{self.keys[name]}"

    def _say(self, text: str) -> None:
        with self._telling:  # two images are made at a time
            self.tell(text)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for another command that builds in the same folder: it makes what this one lacks."""
        with (self.folder / ".building").open("w") as lock:
            until, told = time.monotonic() + BUILD_TIMEOUT_S, False
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    if time.monotonic() > until:
                        raise Transient(
                            f"another command builds images in {self.folder}, and did not end in {BUILD_TIMEOUT_S} s",
                            code="toolboxes.other-build-runs",
                            remedy="let it end, or end it; then run this one again",
                        ) from error
                    if not told:
                        self._say("images: waiting for another command that builds them")
                    told = True
                    time.sleep(5)
                else:
                    break
            yield

    @contextlib.contextmanager
    def _secrets(self, suites: Collection[str]) -> Iterator[dict[str, list[str]]]:
        """Give the arguments that hand the package clients' settings to builds, by suite: files for as long as these run."""
        with tempfile.TemporaryDirectory(prefix="slipway-secrets-") as directory:
            arguments: dict[str, list[str]] = {}
            for suite in suites:
                (folder := Path(directory) / suite).mkdir()
                arguments[suite] = []
                for name, text in self.clients.secrets(suite).items():
                    (folder / name).write_text(text, encoding="utf-8")
                    arguments[suite] += ["--secret", f"id={name},src={folder / name}"]
            yield arguments

    def _all(
        self,
        todo: Mapping[str, Step],
        refs: Mapping[str, str],
        secrets: Mapping[str, list[str]],
        push: bool,
    ) -> dict[str, str]:
        """Make the steps, each after those of its bases, some at a time; tell from time to time where they are."""
        made: dict[str, str] = {}
        waiting, running = list(todo), dict[Future[str], str]()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while waiting or running:
                for name in list(waiting):
                    bases = self.recipes.bases[name].values()
                    if len(running) < AT_ONCE and not {*waiting, *running.values()} & set(bases):
                        waiting.remove(name)
                        told = secrets.get(self.recipes.suite(name), [])
                        run = pool.submit(
                            self._one,
                            name,
                            todo[name],
                            refs.get(name),
                            told,
                            push,
                        )
                        running[run] = name
                finished, _ = wait(running, timeout=TELL_EVERY_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    made[running.pop(future)] = future.result()
                if not finished:
                    for name in running.values():
                        self._say(f"image {name}: {self._where(name)}")
        return made

    def _where(self, name: str) -> str:
        """Tell at which step of its build an image is."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            if found := re.findall(r"^#\d+ (\[.+)", text, re.MULTILINE):
                return f"still at {found[-1][:100]}"
        return "still at work"

    def _one(self, name: str, step: Step, ref: str | None, secrets: list[str], push: bool) -> str:
        """Make one image's step; give its reference by digest, or by tag if it is not pushed."""
        local, began = self._local(name), time.monotonic()
        if step is Step.PULL and ref:
            self.engine.run("pull", "-q", ref, timeout_s=BUILD_TIMEOUT_S)
            self.engine.run("tag", ref, local)
            self._say(f"image {name}: pulled in {time.monotonic() - began:.1f} s")
            return ref
        if step is Step.BUILD:
            self._say(f"image {name}: building")
            self._build(name, secrets)
        built = time.monotonic()
        size_mb = int(self.engine.run("image", "inspect", "--format", "{{.Size}}", local)) / 1e6
        told = f"image {name}: {size_mb:.0f} MB"
        if step is Step.BUILD:
            told += f", built in {built - began:.1f} s"
        if not push:
            self._say(f"{told}, not pushed")
            return local
        remote = f"{self.target.name(name)}:{self.keys[name]}"
        self.engine.run("tag", local, remote)
        self.engine.run("push", "-q", remote, timeout_s=BUILD_TIMEOUT_S)
        if not (digest := self.target.registry.digest(self.target.repository(name), self.keys[name])):
            raise Transient(
                f"image {name} was pushed, but the registry does not have {remote}",
                code="toolboxes.push-lost",
                remedy="see the registry's log, and whether another address leads to it for the engine",
            )
        self._say(f"{told}, pushed in {time.monotonic() - built:.1f} s")
        return f"{self.target.name(name)}@{digest}"

    def _build(self, name: str, secrets: list[str]) -> None:
        arguments = []
        for argument, base in self.recipes.bases[name].items():
            image = self._local(base) if base else self._root(self.recipes.suite(name))
            arguments += ["--build-arg", f"{argument}={image}"]
        for proxy in PROXIES:
            arguments += ["--build-arg", proxy] if proxy in os.environ else []
        for label, value in (("image", name), ("key", self.keys[name])):
            arguments += ["--label", f"{LABEL}.{label}={value}"]
        self.engine.build(
            name,
            "--network",
            "host",
            "-t",
            self._local(name),
            "-f",
            str(self.recipes.place(name) / "Dockerfile"),
            *arguments,
            *secrets,
            str(self.recipes.folder),
            log=self.folder / f"{name}.log",
            timeout_s=BUILD_TIMEOUT_S,
        )

    def _root(self, suite: str) -> str:
        """Give what the lowest images stand on: a given image, or Debian's minimal system made here."""
        if self.base_image and suite == rootfs.SUITE:
            if not self.engine.has(self.base_image):
                self.engine.run("pull", "-q", self.base_image, timeout_s=BUILD_TIMEOUT_S)
            return self.base_image
        began = time.monotonic()
        key = rootfs.key(suite)
        is_there = (self.folder / f"rootfs-{key}.tar").is_file()
        if not is_there:
            self._say(f"image base-debian: making Debian's root file system ({suite})")
        tarball = rootfs.made(self.folder, self.clients, suite)
        if not is_there:
            self._say(f"image base-debian: root file system made in {time.monotonic() - began:.1f} s")
        image = f"slipway/rootfs:{key}"
        if not self.engine.has(image):
            self.engine.run("import", str(tarball), image)
        return image
