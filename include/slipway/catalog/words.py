"""The kinds of text that a catalog may hold, each with one rule for errors and for the JSON schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Word:
    """A rule for a text: `pattern` decides (the whole text must match), `must` tells people so."""

    pattern: str
    must: str
    longest: int = 200

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        legal = re.compile(self.pattern)

        def check(text: str) -> str:
            if len(text) > self.longest or not legal.fullmatch(text):
                shown = re.sub("//[^/]*@", "//***@", text)[
                    :80
                ]  # a password must not reach a log by way of an error
                raise PydanticCustomError("word", "`{text}` {must}", {"text": shown, "must": self.must})
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}


_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SEGMENT = r"(?!\.\.?(?:/|$))[A-Za-z0-9._+@][A-Za-z0-9._+@-]*"
_PATH = rf"{_SEGMENT}(?:/{_SEGMENT})*"
_URL = r"(?:https?://|ssh://(?:[a-z][a-z0-9-]*@)?)[^\s/@:'\"]+(?::[0-9]+)?/[^\s'\"]*"

Name = Annotated[
    str,
    Word(_LABEL, "must be a DNS-1123 label: lower-case letters, digits and inner hyphens, at most 63", 63),
]
ServiceName = Annotated[
    str,
    Word(
        _LABEL,
        "must be a DNS-1123 label (a-z, 0-9, inner hyphens) of at most 40, as names are made from it",
        40,
    ),
]
RelativePath = Annotated[
    str, Word(_PATH, "must be a relative path of plain characters, without `..`, `.` or a leading `-` or `/`")
]
Repository = Annotated[
    str,
    Word(
        rf"{_PATH}|{_URL}",
        "must be a path below the platform's git URL, or a full http(s) or ssh URL without a password in it",
    ),
]
Branch = Annotated[
    str,
    Word(
        r"(?!refs/|HEAD$)(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|/$|\.$))[A-Za-z0-9_][A-Za-z0-9._/@{}+-]*",
        "must be a legal branch name of plain characters, without `refs/heads/` before it",
    ),
]
ImageRepository = Annotated[
    str,
    Word(
        r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*",
        "must be a repository in the registry: lower-case words with `.`, `_`, `-`, `/`; no address, no tag",
        128,
    ),
]
ImageDigest = Annotated[
    str,
    Word(
        r"[a-zA-Z0-9.-]+(?::[0-9]+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}",
        "must be <registry>/<repository>@sha256:<digest>",
        400,
    ),
]
BaseName = Annotated[
    str,
    Word(
        r"[a-z0-9*?][a-z0-9._/*?-]*(?::[A-Za-z0-9._*?-]+)?",
        "must be a name as Dockerfiles have it, such as `python:3.12-slim`, or a pattern with `*` or `?`",
        200,
    ),
]
PublicImage = Annotated[
    str,
    Word(
        r"[a-z0-9][a-z0-9._/-]*(?::[A-Za-z0-9._-]+)?",
        "must be the name of an image of the platform's `base_images`, such as `redis:7`",
        200,
    ),
]
AbsolutePath = Annotated[
    str,
    Word(
        r"(?:/[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*)+", "must be an absolute path, such as /data", 200
    ),
]
StageName = Annotated[
    str,
    Word(r"[A-Za-z][A-Za-z0-9._-]*", "must be the name of a stage of the Dockerfile (`FROM … AS NAME`)", 100),
]
UrlPath = Annotated[
    str, Word(r"/[A-Za-z0-9._~/-]*", "must be a URL path that starts with `/`, without a query")
]
JsonPointer = Annotated[
    str,
    Word(
        r"(?:/(?:[^~/\s]|~[01])*)+",
        "must be a JSON pointer (RFC 6901): `/`, and names or indexes with `/` between, such as `/status` or `/build/commit`",
        300,
    ),
]
HeaderName = Annotated[
    str, Word(r"[A-Za-z0-9-]+", "must be the name of an HTTP header: letters, digits and `-`", 100)
]
HeaderValue = Annotated[str, Word(r"[!-~](?:[ -~]*[!-~])?", "must be one line of printable ASCII", 2_000)]
HttpUrl = Annotated[
    str,
    Word(r"https?://[^\s/@'\"]+(?:/[^\s'\"]*)?", "must be an http(s) URL without a user or password in it"),
]
Variable = Annotated[
    str, Word(r"[A-Za-z_][A-Za-z0-9_]*", "must be an environment variable name: letters, digits and `_`", 100)
]
DataKey = Annotated[
    str,
    Word(r"[-._a-zA-Z0-9]+", "must be a key of a Kubernetes Secret: letters, digits, `-`, `_` and `.`", 253),
]
Identifier = Annotated[
    str, Word(r"[a-z_][a-z0-9_]*", "must be a plain Postgres name: lower-case letters, digits and `_`", 63)
]
LiquibaseContext = Annotated[
    str, Word(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "must be one context: letters, digits, `-`, `_` and `.`", 60)
]
CommitHash = Annotated[
    str, Word(r"[0-9a-f]{40}", "must be the full hash of a commit: 40 hexadecimal digits", 40)
]
VaultRole = Annotated[
    str, Word(r"[a-z0-9][a-z0-9_-]*", "must be a role name: lower-case letters, digits, `-` and `_`", 100)
]
Timeout = Annotated[int, Field(ge=1, le=14_400)]
Port = Annotated[int, Field(ge=1, le=65_535)]
