"""What clients send and get: the source of the OpenAPI description."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from prompt_library import templates

MAX_VERSION = 2**31 - 1
NAME = "^[a-z0-9][a-z0-9-]{0,63}$"
VARIABLE = f"^{templates.VARIABLE}$"


def _whole(value: Any) -> Any:
    """JSON Schema counts 2.0 as an integer, strict pydantic does not: pass it on as 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _template(text: str) -> str:
    templates.variables(text)
    return text


Name = Annotated[str, Field(strict=True, pattern=NAME, description="Lower case letters, digits and hyphens")]
Variable = Annotated[str, Field(strict=True, pattern=VARIABLE, max_length=100)]
VersionNumber = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1, le=MAX_VERSION)]
# Postgres cannot store NUL in text: refused here, with a message, rather than by the database.
Text = Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]
# The grammar is published as a pattern; what is said of a mistake is said by templates.py, with its place.
Source = Annotated[
    Text,
    Field(
        max_length=templates.MAX_TEMPLATE,
        description="Text with `${name}` for what is filled in; `$$` for a dollar sign",
        json_schema_extra={"pattern": templates.GRAMMAR},
    ),
    AfterValidator(_template),
]


class NewVersion(BaseModel):
    """What a prompt shall say from now on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "greeting", "template": "Greet ${customer} in ${language}.", "note": "Friendlier"}
            ]
        },
    )

    name: Name
    template: Source
    note: Annotated[
        Annotated[Text, Field(max_length=200)] | None, Field(description="Why this version was made")
    ] = None


class PromptVersion(BaseModel):
    """One version of a prompt; it never changes."""

    name: str
    version: int
    template: str
    variables: list[str]
    note: str | None
    created_at: datetime


class Prompt(BaseModel):
    """A prompt in a list: its newest version, without the text."""

    name: str
    latest: int
    variables: list[str]
    updated_at: datetime


class Prompts(BaseModel):
    """A page of prompts, by name."""

    prompts: list[Prompt]
    next: Annotated[str | None, Field(description="`after` of the next page; null on the last one")]


class Values(BaseModel):
    """What is filled into a template."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"variables": {"customer": "Ada", "language": "French"}}]},
    )

    variables: Annotated[
        dict[Variable, Annotated[Text, Field(max_length=8_000)]],
        Field(max_length=64, description="A text for each variable of the template, and no others"),
    ] = {}
    version: Annotated[
        VersionNumber | None, Field(description="Which version; the newest if it is left out")
    ] = None


class Rendered(BaseModel):
    """The text of a prompt."""

    name: str
    version: int
    text: str


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can do its work."""

    status: Literal["ready"] = "ready"
    schema_revision: str


class Version(BaseModel):
    """What is running."""

    service: Literal["prompt-library"] = "prompt-library"
    version: str
    commit: str
    build: str
    schema_revision: str


class Problem(BaseModel):
    """Why a request was not done."""

    detail: str
