"""Reads the pom.xml files of a project: which Java it wants, which plugins, and where a version is not one version.

A pom names exact versions, or leaves them to a parent or a bill of materials of an exact version; what a registry has released
under a version stays as it is. So exact poms are the lock: https://maven.apache.org/pom.html, and for ranges
https://maven.apache.org/ref/current/maven-artifact/apidocs/org/apache/maven/artifact/versioning/VersionRange.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.parsers import expat

from gate import Finding

NAME = "pom.xml"
NAMED = ("dependency", "plugin", "extension", "parent", "path", "annotationProcessorPath")
"""Elements that name an artifact by groupId, artifactId and version."""

EXACT = "name one version; `mvn versions:resolve-ranges` writes those that are taken now"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass
class Element:
    """An element of a pom, where it begins, and what is in it."""

    name: str
    line: int
    text: str = ""
    parts: list[Element] = field(default_factory=list)

    def get(self, name: str) -> str:
        """Give the text of a part; none if there is no such part."""
        return next((one.text.strip() for one in self.parts if one.name == name), "")

    def all(self) -> Iterator[Element]:
        """Give the element and all that is in it."""
        yield self
        for one in self.parts:
            yield from one.all()


class Unreadable(Exception):
    """A text is no pom."""


def parsed(text: str) -> Element:
    """Give a pom's project.

    :raises Unreadable: if it is none.
    """
    top = Element("", 0)
    open_ = [top]
    parser = expat.ParserCreate()

    def begin(name: str, _: object) -> None:
        element = Element(name.rpartition(":")[2], parser.CurrentLineNumber)
        open_[-1].parts.append(element)
        open_.append(element)
        if len(open_) > 100:
            raise Unreadable("its elements lie too deep in each other")

    def end(_: str) -> None:
        open_.pop()

    def said(data: str) -> None:
        open_[-1].text += data

    def refuse(*_: object) -> None:
        raise Unreadable("it has declarations (DOCTYPE)")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, said
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if not top.parts or top.parts[0].name != "project":
        raise Unreadable("it has no <project>")
    return top.parts[0]


@dataclass
class Project:
    """The poms of a source tree by path, as far as they can be read."""

    poms: dict[str, Element]
    findings: list[Finding]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Project:
        """Read poms by their paths."""
        found = cls({}, [])
        for path, text in sorted(texts.items()):
            try:
                found.poms[path] = parsed(text)
            except Unreadable as error:
                found.findings.append(
                    Finding(path, 0, "lock-form", f"it is no pom: {error}", "`mvn validate` says more")
                )
        found.findings += [one for path, pom in found.poms.items() for one in found._inexact(path, pom)]
        return found

    def properties(self) -> dict[str, str]:
        """The properties of all poms; those nearer to the top count."""
        found: dict[str, str] = {}
        for path in sorted(self.poms, key=lambda one: -len(PurePosixPath(one).parts)):
            for element in self.poms[path].parts:
                if element.name == "properties":
                    found |= {one.name: one.text.strip() for one in element.parts}
        return found

    def resolved(self, text: str) -> str:
        """A text with the properties in it replaced, as far as the poms say them."""
        known = self.properties()
        for _ in range(10):
            text, count = _VARIABLE.subn(lambda name: known.get(name[1], name[0]), text)
            if not count or not any(name in known for name in _VARIABLE.findall(text)):
                break
        return text

    def own(self) -> set[tuple[str, str]]:
        """What the poms themselves are, by group (none: not said, or inherited) and name."""
        found = set()
        for pom in self.poms.values():
            parent = next((one for one in pom.parts if one.name == "parent"), None)
            found.add(
                (pom.get("groupId") or (parent.get("groupId") if parent else ""), pom.get("artifactId"))
            )
        return found

    def plugins(self) -> dict[str, Element]:
        """The plugins that the build names, by artifactId."""
        return {
            one.get("artifactId"): one
            for pom in self.poms.values()
            for one in pom.all()
            if one.name == "plugin" and one.get("artifactId")
        }

    def java(self) -> tuple[int, str] | None:
        """The Java that the project is written for, and the word that says so; None if nothing does."""
        known = self.properties()
        for word in (
            "maven.compiler.release",
            "maven.compiler.target",
            "maven.compiler.source",
            "java.version",
        ):
            if number := _major(self.resolved(known.get(word, ""))):
                return number, word
        compiler = self.plugins().get("maven-compiler-plugin")
        for element in compiler.all() if compiler else ():
            if element.name in ("release", "target", "source") and (
                number := _major(self.resolved(element.text.strip()))
            ):
                return number, f"<{element.name}> of maven-compiler-plugin"
        return None

    def _inexact(self, path: str, pom: Element) -> Iterator[Finding]:
        own = self.own()
        for element in pom.all():
            version = next((one for one in element.parts if one.name == "version"), None)
            if element.name not in NAMED or version is None:
                continue
            group, name = self.resolved(element.get("groupId")), self.resolved(element.get("artifactId"))
            said, what = self.resolved(version.text.strip()), f"{group or 'its plugin'}:{name}"
            if re.search(r"[\[\](),]", said):
                why, advice = f"{what}: {said[:80]} is a range of versions", EXACT
            elif said in ("LATEST", "RELEASE"):
                why, advice = f"{what}: {said} is whichever is newest", EXACT
            elif said.endswith("-SNAPSHOT") and not _is_own(group, name, own):
                why = f"{what}: {said[:80]} is another thing each day"
                advice = "take a released version, or the project's source as a module of this one"
            else:
                continue
            yield Finding(path, version.line, "lock-version", why, advice, context=what)


def _is_own(group: str, name: str, own: set[tuple[str, str]]) -> bool:
    return any(other == name and (not of or of == group or "${" in group) for of, other in own)


def _major(text: str) -> int | None:
    match = re.fullmatch(r"(?:1\.)?(\d{1,2})(?:\.[\d.]*)?", text)
    return int(match[1]) if match else None
