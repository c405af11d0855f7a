"""What clients send and get: the source of the OpenAPI description."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_SEED = 2**31 - 1


# Strict: "40" and true are not numbers in the published schema, so they are not accepted.
Integer = Annotated[int, Field(strict=True)]
# Postgres cannot store NUL in text: refused here, with a message, rather than by the database.
Text = Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]


class GenerationRequest(BaseModel):
    """A generation that is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prompt": "The harbour master", "max_words": 30, "seed": 7}]},
    )

    prompt: Annotated[Text, Field(max_length=500, description="Text to continue; may be empty")]
    max_words: Annotated[Integer, Field(ge=1, le=200, description="Most words to write")] = 40
    seed: Annotated[
        Annotated[Integer, Field(ge=0, le=MAX_SEED)] | None,
        Field(description="The same seed, prompt and model give the same text; drawn if left out"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        """JSON Schema counts 40.0 as an integer, strict pydantic does not: pass it on as 40."""
        if not isinstance(data, dict):
            return data
        return {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in data.items()}


class Generation(BaseModel):
    """A stored generation job."""

    id: UUID
    status: Literal["running", "completed"]
    prompt: str
    max_words: int
    seed: int
    model: str
    text: str | None
    created_at: datetime
    finished_at: datetime | None


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can do its work."""

    status: Literal["ready"] = "ready"
    schema_revision: str


class Version(BaseModel):
    """What is running."""

    service: Literal["ai-generation"] = "ai-generation"
    version: str
    commit: str
    build: str
    schema_revision: str
    model: str


class Problem(BaseModel):
    """Why a request was not done."""

    detail: str
