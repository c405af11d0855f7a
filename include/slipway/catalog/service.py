"""What a service is: the models of include/services/*.yaml, word for word; docs/catalog.md is made of it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from slipway.catalog.words import (
    AbsolutePath,
    Branch,
    CommitHash,
    DataKey,
    HeaderName,
    HeaderValue,
    HttpUrl,
    Identifier,
    ImageRepository,
    JsonPointer,
    LiquibaseContext,
    Name,
    Port,
    PublicImage,
    RelativePath,
    Repository,
    ServiceName,
    StageName,
    Timeout,
    UrlPath,
    Variable,
    VaultRole,
)

Kind = Literal["ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget"]
"""What a config repository may hold. No Secret: those come from Vault. Quotas are the playbook's."""


class Entry(BaseModel):
    """A frozen part of a catalog file, in which unknown words are errors and nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Timed(Entry):
    """A stage of which only the time is said."""

    timeout_s: Timeout = Field(300, description="Longest time of the stage, in seconds.")


class FindingWaiver(Entry):
    """A finding of a gate that is accepted, for a reason and for a time."""

    rule: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The rule, or the advisory's id (GHSA, CVE, …), as the finding names it."
    )
    path: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="The file, as the finding names it. All findings of this rule in this file are accepted, and no others."
    )
    reason: Annotated[str, Field(min_length=10, max_length=500)] = Field(
        description="Why it does no harm here, for those who read it later."
    )
    owner: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="Who answers for it, and is asked when it ends."
    )
    until: Annotated[date, Field(strict=False)] = Field(
        description="The last day on which it holds, as YYYY-MM-DD. The day after, the finding stops releases again."
    )


class Gate(Timed):
    """A gate that gives findings, and what follows from them ([gates.md](gates.md))."""

    policy: Literal["enforce", "warn", "off"] = Field(
        "enforce",
        description='`enforce`: findings stop the release. `warn`: they are told. `"off"` (in quotes): the gate does not run; '
        "wants `reason` and `until`.",
    )
    reason: Annotated[str, Field(min_length=10, max_length=500)] | None = Field(
        None, description="Why the policy is not `enforce`, for those who read it later."
    )
    until: Annotated[date, Field(strict=False)] | None = Field(
        None,
        description="The last day on which the policy holds, as YYYY-MM-DD; after it the gate is enforced.",
    )
    severity: Literal["low", "medium", "high", "critical"] = Field(
        "low",
        description="The least severity that stops; what is less bad is told. What nobody has rated stops.",
    )
    baseline: CommitHash | None = Field(
        None,
        description="The commit whose findings are old: they are told, and only new ones stop. Kept in the ledger, where it "
        "shrinks as they go, and never grows.",
    )
    waivers: Annotated[tuple[FindingWaiver, ...], Field(strict=False, max_length=500)] = Field(
        (), description="Findings that are accepted; `slipway waive` writes one."
    )

    @property
    def stops_for_development(self) -> bool:
        """Tell whether findings in what is not shipped stop."""
        return True

    @model_validator(mode="after")
    def _said_why(self) -> Self:
        if self.policy == "off" and not (self.reason and self.until):
            raise PydanticCustomError(
                "policy", 'policy "off" wants `reason` and `until`: why, and the last day on which it holds'
            )
        if self.policy == "enforce" and (self.reason or self.until):
            raise PydanticCustomError(
                "policy", "`reason` and `until` say why and how long a policy other than `enforce` holds"
            )
        return self


class DependencyGate(Gate):
    """Known vulnerabilities of what the lock files name."""

    severity: Literal["low", "medium", "high", "critical"] = Field(
        "high",
        description="The least severity that stops; what is less bad is told. What nobody has rated stops.",
    )
    development: Literal["enforce", "warn"] = Field(
        "warn", description="Whether advisories of what only `source.dependencies.development` names stop."
    )

    @property
    def stops_for_development(self) -> bool:
        """Tell whether findings in what is not shipped stop."""
        return self.development == "enforce"


Stack = Literal["python", "node", "go", "java"]
"""The stacks that there are, each with a folder `toolboxes/toolbox-<stack>` and a module in `catalog.recognition`."""

LOCKS: dict[str, tuple[str, str]] = {
    "python": ("requirements.txt", "requirements-dev.txt"),
    "node": ("package-lock.json", "package-lock.json"),
    "go": ("go.mod", "go.mod"),
    "java": ("pom.xml", "pom.xml"),
}
"""The lock files that a service of each stack has if its catalog names none: what ships, and what development needs."""


class Dependencies(Entry):
    """The lock files ([onboarding.md](onboarding.md) lists those of each stack), all packages pinned by version and hash."""

    runtime: RelativePath = Field(
        "requirements.txt",
        description="What the image holds. Of a tool's lock: what the project itself needs, without groups and extras. Without "
        "a word, of `node`: `package-lock.json`; of `go`: `go.mod`; of `java`: `pom.xml`.",
    )
    development: RelativePath = Field(
        "requirements-dev.txt",
        description="What build, test and scan need besides. A tool's lock is named twice: here its groups count, too.",
    )


class Cloned(Entry):
    """A git repository and the branch of it that counts."""

    repository: Repository = Field(description="Below the platform's git URL, or a full URL.")
    branch: Branch = Field("main", description="The branch that counts; pushes to others are ignored.")

    @property
    def folder(self) -> str:
        """Give the folder of it that counts; empty: all of it."""
        return ""

    def url(self, git_url: str) -> str:
        """Gives the repository's full URL.

        :param git_url: the platform's git URL, below which a short name lies.
        """
        if "://" in self.repository:
            return self.repository
        return f"{git_url.rstrip('/')}/{self.repository.removesuffix('.git')}.git"


class Forge(Entry):
    """The forge that the source repository is on."""

    kind: Literal["github", "gitlab", "gitea"] = Field(
        description="What it is. Forgejo is `gitea`, a GitHub Enterprise Server `github`."
    )
    url: HttpUrl = Field(description="Its own address, without the repository: `https://github.com`.")

    @property
    def host(self) -> str:
        """The name of its machine: Vault's `slipway/forges/<host>` has the token."""
        return urlsplit(self.url).hostname or ""

    def path(self, repository: str) -> str:
        """Gives the name of a repository there, with owner or groups, by its full URL."""
        base = urlsplit(self.url).path.rstrip("/")
        return urlsplit(repository).path.removeprefix(base).strip("/").removesuffix(".git")


class Source(Cloned):
    """Where the service's code is."""

    forge: Forge | None = Field(
        None,
        description="The forge that shows a release as the status of its commit. Without it a git note tells how it went.",
    )
    path: RelativePath | None = Field(
        None,
        description="Folder of the service in a repository of several: all other paths of the catalog are from there, and "
        "nothing else of the repository is seen. A push that changes neither it nor what `also` names ends `unchanged`.",
    )
    also: Annotated[tuple[RelativePath, ...], Field(strict=False, max_length=20)] = Field(
        (),
        description="Other paths of the repository, from its top, whose change releases the service, too, beside `path`.",
    )
    dependencies: Dependencies = Field(default_factory=Dependencies, description="The lock files.")

    @property
    def folder(self) -> str:
        """Give the folder of it that counts; empty: all of it."""
        return self.path or ""

    @property
    def counting(self) -> tuple[str, ...]:
        """Give the paths whose change releases the service; none: every commit does."""
        return (self.path, *self.also) if self.path else ()

    @field_validator("also")
    @classmethod
    def _beside_a_path(cls, value: tuple[str, ...], info: Any) -> tuple[str, ...]:
        if value and not info.data.get("path"):
            raise PydanticCustomError(
                "also", "belongs to a `path`, which is missing: without it every push is released"
            )
        return value


class Config(Cloned):
    """Where the service's deployment configuration is."""

    manifests: RelativePath = Field("manifests", description="Folder of the Kubernetes manifests.")
    playbook: RelativePath | None = Field(
        None,
        description="Ansible playbook of the infrastructure. Without it the infra branch is always skipped.",
    )
    variables: Annotated[tuple[Variable, ...], Field(strict=False)] = Field(
        (),
        description="Keys of Vault's `services/<service>` that the playbook gets as variables, by file.",
    )


Command = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=2_000)], ...],
    Field(strict=False, min_length=1, max_length=64),
]
"""An argument list. No shell reads it, unless it names one."""


class Commanded(Timed):
    """A stage of build or test: it runs its stack's own command in the toolbox, unless the service says another."""

    command: Command | None = Field(
        None,
        description="Argument list that runs in place of the stack's own, in a copy of the source that it may write to; what "
        "the dependencies install is found by name. The project's own configuration counts.",
    )
    folder: RelativePath | None = Field(
        None, description="Folder of the source that the command runs in. Without it: the top."
    )
    report: RelativePath | None = Field(
        None,
        description="What the command leaves there, and is judged by: a file in JUnit (`.xml`) or SARIF (`.sarif`, `.json`), or "
        "a folder of the first. Without it the exit code decides.",
    )
    environment: dict[Variable, str] = Field(
        default_factory=dict, description="The stage's variables. No secrets: the file is public."
    )
    left_out: Annotated[str, Field(min_length=10, max_length=500)] | None = Field(
        None, description="Why the service has no such stage: it does not run, and is shown as left out."
    )

    @field_validator("folder", "report")
    @classmethod
    def _of_the_command(cls, value: str | None, info: Any) -> str | None:
        if value is not None and info.data.get("command") is None:
            raise PydanticCustomError(
                "command", "belongs to a `command` of the service's own, which is missing"
            )
        return value

    @field_validator("left_out")
    @classmethod
    def _does_not_run(cls, value: str | None, info: Any) -> str | None:
        if value is not None and info.data.get("command") is not None:
            raise PydanticCustomError(
                "left_out", "a stage with a `command` is not left out: remove one of them"
            )
        return value


class Checked(Gate, Commanded):
    """A stage of build that gives findings: what runs, and what follows from them."""


class Build(Entry):
    """The stages of build: each runs in the toolbox, without network."""

    compile: Commanded = Field(default_factory=Commanded, description="Does every file compile?")
    lint: Checked = Field(default_factory=Checked, description="Style and common faults.")
    analyze: Checked = Field(default_factory=Checked, description="Types.")


class Beside(Entry):
    """A service in a throwaway container beside a stage, on the stage's own network, under its name there."""

    image: PublicImage = Field(
        description="Image of the platform's `base_images`, such as `redis:7` (`slipway bases list`)."
    )
    port: Port = Field(description="Where it listens. The stage begins once that answers.")
    command: Command | None = Field(None, description="Argument list in place of the image's own.")
    environment: dict[Variable, str] = Field(
        default_factory=dict, description="Its variables. No secrets: the file is public."
    )
    ready: Command | None = Field(
        None, description="Argument list that is run in it until it ends with 0, besides: then it is ready."
    )
    writable: Annotated[tuple[AbsolutePath, ...], Field(strict=False, max_length=8)] = Field(
        (),
        description="Folders that it may write to, in memory; `/tmp` always is one. The rest is read-only.",
    )
    timeout_s: Timeout = Field(60, description="Longest time until it is ready, in seconds.")


RESERVED = ("database", "schema", "service", "probe")
"""Names on a stage's network that are taken."""


def _distinct(services: dict[str, Beside]) -> dict[str, Beside]:
    if taken := sorted(set(services) & set(RESERVED)):
        raise PydanticCustomError(
            "services", "`{name}` is a name that is taken: call it by another", {"name": taken[0]}
        )
    return services


Services = Annotated[dict[Name, Beside], Field(max_length=5), AfterValidator(_distinct)]
"""What runs beside a stage, by the name that it has there."""


class Unit(Commanded):
    """Unit tests."""

    path: RelativePath = Field("tests/unit", description="Folder of the tests. None collected is a failure.")


class Integration(Commanded):
    """Integration tests."""

    path: RelativePath = Field(
        "tests/integration", description="Folder of the tests. None collected is a failure."
    )
    database: bool = Field(False, description="Whether a throwaway Postgres runs beside them (DATABASE_URL).")
    services: Services = Field(
        default_factory=dict,
        description='What else runs beside them: `cache: {image: "redis:7", port: 6379}` is `cache:6379` there, and told by '
        "`CACHE_HOST` and `CACHE_PORT`.",
    )


class Test(Entry):
    """The stages of test."""

    __test__ = False  # not a test case for pytest

    unit: Unit = Field(default_factory=Unit, description="Unit tests: no network.")
    integration: Integration = Field(
        default_factory=Integration,
        description="Integration tests: a private network with their database and nothing else.",
    )


class Dynamic(Gate):
    """The dynamic scan: the service runs in a throwaway container and is attacked by its OpenAPI."""

    command: Annotated[tuple[str, ...], Field(strict=False, max_length=64)] = Field(
        (),
        description="Argument list that starts the service, in /workspace/src; dependencies in /deps/venv. Needed unless the "
        "gate is off.",
    )
    environment: dict[Variable, str] = Field(
        default_factory=dict, description="Its environment. No secrets: the file is public."
    )
    port: Port = Field(8000, description="Where it listens, on 127.0.0.1.")
    openapi: UrlPath = Field("/openapi.json", description="Where it describes itself, in OpenAPI's JSON.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        description="Headers of every request: what the throwaway service takes for signed in, such as `Authorization`. No "
        "secrets: the file is public.",
    )
    severity: Literal["low", "medium", "high", "critical"] = Field(
        "medium",
        description="The least severity that stops; what is less bad is told. What nobody has rated stops.",
    )
    database: bool = Field(
        False, description="Whether a throwaway Postgres, migrated, runs beside it (DATABASE_URL)."
    )
    services: Services = Field(
        default_factory=dict, description="What else runs beside it, as beside the integration tests."
    )

    @model_validator(mode="after")
    def _started_by(self) -> Self:
        if not self.command and self.policy != "off":
            raise PydanticCustomError(
                "dynamic",
                '`command` is missing: what starts the service. A worker without HTTP says policy "off", reason and until',
            )
        return self


class ImageGate(Gate):
    """The scan of the built image."""

    severity: Literal["low", "medium", "high", "critical"] = Field(
        "high",
        description="The least severity that stops; what is less bad is told. What nobody has rated stops.",
    )


class Scan(Entry):
    """The stages of scan."""

    sast: Gate = Field(default_factory=Gate, description="Static analysis for security.")
    dependencies: DependencyGate = Field(
        default_factory=DependencyGate, description="Known vulnerabilities in the lock files."
    )
    secrets: Gate = Field(default_factory=Gate, description="Secrets in the source.")
    dockerfile: Gate = Field(
        default_factory=Gate, description="What the image is built from, and how its Dockerfile is written."
    )
    dynamic: Dynamic = Field(description="Attack on the running service.")


class Image(Entry):
    """The image that is built once every gate has passed."""

    repository: ImageRepository = Field(description="Its name in the platform's registry.")
    dockerfile: RelativePath = Field(
        "Dockerfile",
        description="In the source repository. Where it is not named here and not there, the stack has one of its own.",
    )
    target: StageName | None = Field(
        None, description="The stage of the Dockerfile that is released; the last, if none is named."
    )
    arguments: dict[Variable, str] = Field(
        default_factory=dict,
        description="Build arguments, beside those of the pipeline; no place for secrets.",
    )
    timeout_s: Timeout = Field(600, description="Longest time of the build, in seconds.")
    scan: ImageGate = Field(
        default_factory=ImageGate,
        description="What was built, before it is pushed: secrets, packages, user, setuid.",
    )

    @property
    def names_dockerfile(self) -> bool:
        """Whether the catalog names the Dockerfile, so that it must be there."""
        return "dockerfile" in self.model_fields_set


class Secret(Entry):
    """The Kubernetes Secret that is made from Vault's `services/<service>`."""

    name: Name = Field(description="Name of the Secret.")
    key: DataKey = Field(description="The one key that is copied, there and here.")


class Waiver(Entry):
    """A finding of the lint of a changeset that is accepted, for a reason and for a time."""

    changeset: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="Id of the changeset, as `slipway releases show` and the message name it."
    )
    rule: Annotated[str, Field(pattern="^[a-z0-9-]{3,80}$")] = Field(
        description="The rule, as the message names it, such as `ban-drop-column`."
    )
    reason: Annotated[str, Field(min_length=10, max_length=500)] = Field(
        description="Why it does no harm here, for those who read it later."
    )
    until: Annotated[date, Field(strict=False)] = Field(
        description="The last day on which it holds, as YYYY-MM-DD."
    )


class Migrations(Entry):
    """How the schema of the service's database is changed."""

    engine: Literal["liquibase", "flyway"] = Field("liquibase", description="The tool that does it.")
    changelog: RelativePath = Field(
        description="In the source repository: Liquibase's root file, or Flyway's folder of migrations."
    )
    database: Identifier = Field(description="Name of the database.")
    credentials: VaultRole = Field(description="Role of Vault's database engine that leases the credentials.")
    timeout_s: Timeout = Field(300, description="Longest time, in seconds.")
    waivers: Annotated[tuple[Waiver, ...], Field(strict=False)] = Field(
        (), description="Findings of the lint of changesets and callbacks that are accepted."
    )
    contexts: Annotated[tuple[LiquibaseContext, ...], Field(strict=False, max_length=20)] = Field(
        (),
        description="Liquibase's contexts that hold in the environment. Without a word: the one named like the environment.",
    )
    gate_contexts: Annotated[
        tuple[LiquibaseContext, ...], Field(strict=False, min_length=1, max_length=20)
    ] = Field(
        ("test",), description="Liquibase's contexts that hold in the throwaway databases of test and scan."
    )
    labels: Annotated[str, Field(pattern="^[A-Za-z0-9_.!,() -]{1,200}$")] | None = Field(
        None,
        description="Filter of Liquibase's labels: what does not match is left out, everywhere. `contract` is the phase's.",
    )
    baseline: Annotated[str, Field(min_length=1, max_length=300)] | None = Field(
        None,
        description="What a database has that is older than its history: Flyway's version, or Liquibase's changeset up to "
        "which all are there; `0`: nothing. Not heeded where there is a history, or the database is empty.",
    )

    @field_validator("contexts", "gate_contexts", "labels")
    @classmethod
    def _liquibases(cls, value: Any, info: Any) -> Any:
        if value is not None and value != () and info.data.get("engine") == "flyway":
            raise PydanticCustomError(
                "flyway",
                "is Liquibase's: Flyway knows no {word}",
                {"word": str(info.field_name).removeprefix("gate_")},
            )
        return value

    @field_validator("baseline")
    @classmethod
    def _version_of_flyway(cls, value: str | None, info: Any) -> str | None:
        if (
            value
            and info.data.get("engine") == "flyway"
            and not re.fullmatch(r"[0-9]+(?:[._][0-9]+)*", value)
        ):
            raise PydanticCustomError("baseline", "is no version of Flyway's, such as `7` or `1.2`")
        return value


class Rollout(Entry):
    """The wait for the rollout."""

    timeout_s: Timeout = Field(
        180,
        description="Longest time until every replica serves the new digest, in seconds. The pods of playbook, migrations "
        "and smoke test may wait as long for a node and their image.",
    )


class Deploy(Entry):
    """Where and how the service is deployed."""

    namespace: Name = Field(description="Kubernetes namespace: the only one that the release may touch.")
    deployment: Name = Field(description="Name of the Deployment.")
    container: Name = Field(
        description="Container of the Deployment whose image is replaced by the new digest."
    )
    kinds: Annotated[tuple[Kind, ...], Field(strict=False, min_length=1)] = Field(
        description="Kinds that the config repository may hold. `Deployment` is one of them."
    )
    order: Literal["before", "after", "expand-contract"] = Field(
        "expand-contract",
        description="When migrations run: `before` or `after` the rollout, or what adds before and what takes away "
        "(label `contract`, or folder `contract` of Flyway) after the new version is verified.",
    )
    secret: Secret | None = Field(None, description="The Secret made from Vault, if the service needs one.")
    migrations: Migrations | None = Field(
        None, description="Schema migrations. Without it the migrations branch is always skipped."
    )
    rollout: Rollout = Field(default_factory=Rollout, description="The wait for the rollout.")

    @field_validator("kinds")
    @classmethod
    def _distinct_with_deployment(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if len(set(kinds)) < len(kinds):
            raise PydanticCustomError("kinds", "a kind is named twice")
        if "Deployment" not in kinds:
            raise PydanticCustomError("kinds", "`Deployment` is missing: without it nothing is deployed")
        return kinds


class Smoke(Entry):
    """The smoke test."""

    path: RelativePath | None = Field(
        None,
        description="Script in the source repository, baked into the image below /app, and run by its /opt/venv/bin/python. "
        "Either this or `command`.",
    )
    command: Command | None = Field(
        None, description="Argument list that is run in the service's own image in place of a script."
    )
    timeout_s: Timeout = Field(120, description="Longest time, in seconds.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.command is None):
            raise PydanticCustomError("smoke", "must have either `path` or `command`")
        return self


class Check(Entry):
    """A question to the service, and its answer when it is well."""

    path: UrlPath = Field(description="What is asked for, by GET.")
    status: Annotated[int, Field(ge=100, le=599)] = Field(200, description="The status that is answered.")
    holds: dict[JsonPointer, str | int | bool] = Field(
        default_factory=dict,
        description="What the answer, as JSON, must have where: JSON pointers (RFC 6901) and values, such as `{/status: ok}`.",
    )


class Health(Entry):
    """What healthy means."""

    service: Name | None = Field(
        None,
        description="Kubernetes Service that is asked. Without it nothing is asked: a worker is well if its pods are.",
    )
    port: Port = Field(80, description="Its port.")
    ready: UrlPath | None = Field(
        None,
        description="Answers 200 when the service can work. Where neither this nor `checks` is said: `/readyz`.",
    )
    checks: tuple[Check, ...] = Field(
        (), strict=False, description="What else is asked, one after the other.", max_length=20
    )
    version: UrlPath | None = Field(
        None,
        description="Answers JSON with the commit that runs: it must be the released one. Without it no one is asked.",
    )
    commit: JsonPointer = Field(
        "/commit",
        description="Where in that answer the commit is: a JSON pointer. At least seven digits of it.",
    )
    soak_s: Annotated[int, Field(ge=0, le=3_600)] = Field(
        3, description="How long health must hold, in seconds."
    )
    timeout_s: Timeout = Field(120, description="Longest time until it has, in seconds.")

    @field_validator("timeout_s")
    @classmethod
    def _longer_than_soak(cls, timeout_s: int, info: Any) -> int:
        if timeout_s <= info.data.get("soak_s", 0):
            raise PydanticCustomError(
                "soak", "must be longer than soak_s ({soak_s})", {"soak_s": info.data["soak_s"]}
            )
        return timeout_s

    @property
    def asked(self) -> tuple[Check, ...]:
        """Give all that is asked of a service."""
        if self.service is None:
            return ()
        ready = self.ready or (None if self.checks else READY)
        return (*((Check(path=ready),) if ready else ()), *self.checks)


READY = "/readyz"
"""What Kubernetes' own API server answers by, and what is asked where a service says nothing else."""


class Verify(Entry):
    """How a deployment is verified."""

    smoke: Smoke | None = Field(None, description="The smoke test, run as a pod of the new image.")
    health: Health = Field(description="What healthy means.")


End = Literal[
    "passed",
    "recovered",
    "failed",
    "errored",
    "rolled_back",
    "rejected",
    "superseded",
    "unchanged",
    "cancelled",
]
"""How a release may end, for those who are told: `recovered` is a pass after one that was none."""


class Notice(Entry):
    """Who is told when a release ends so, once for each commit and end."""

    on: Annotated[tuple[End, ...], Field(strict=False, min_length=1)] = Field(
        description="The ends that are told. `recovered`: passed, where the release before had not."
    )
    by: Literal["slack", "email", "webhook"] = Field(
        description="An incoming webhook of Slack, an e-mail, or JSON to any webhook: by Airflow's notifiers."
    )
    connection: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,100}$")] = Field(
        description="Id of Airflow's connection: of type `slackwebhook`, `smtp`, or `http`."
    )
    to: Annotated[tuple[Annotated[str, Field(pattern="^[^@\\s,]+@[^@\\s,]+$")], ...], Field(strict=False)] = (
        Field((), description="Addresses, of an e-mail alone.")
    )

    @model_validator(mode="after")
    def _has_a_receiver(self) -> Self:
        if (self.by == "email") != bool(self.to):
            raise PydanticCustomError("to", "`to` names who gets an e-mail, and only that")
        return self


class Service(Entry):
    """One service: what is released, how it is built, tested, scanned, deployed and verified."""

    service: ServiceName = Field(description="Its name, and the file's: `<service>.yaml`.")
    title: str = Field(min_length=1, max_length=100, description="Its name for people.")
    team: Name = Field(description="Who answers for it.")
    description: str = Field("", max_length=2_000, description="What it does, in a sentence.")
    source: Source = Field(description="Where the code is.")
    config: Config = Field(description="Where the deployment configuration is.")
    queue: Literal["newest", "every-commit"] = Field(
        "newest",
        description="Which pushes are released: `newest`, so that a newer one ends older ones of the same burst that are not "
        "ready; or `every-commit`, each in order.",
    )
    stack: Stack = Field(
        "python",
        description="What the project is written for: its toolbox, its locks, and what build and test run.",
    )
    build: Build = Field(default_factory=Build, description="The stages of build.")
    test: Test = Field(default_factory=Test, description="The stages of test.")
    scan: Scan = Field(description="The stages of scan.")
    image: Image = Field(description="The image.")
    deploy: Deploy = Field(description="Where and how it is deployed.")
    verify: Verify = Field(description="How the deployment is verified.")
    notify: Annotated[tuple[Notice, ...], Field(strict=False, max_length=20)] = Field(
        (), description="Who is told how releases end."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_its_locks(cls, entry: Any) -> Any:
        """Name the lock files that the stack has, where none are named."""
        if not isinstance(entry, dict) or entry.get("stack") not in {*LOCKS} - {"python"}:
            return entry
        source = entry.get("source")
        if not isinstance(source, dict) or "dependencies" in source:
            return entry
        runtime, development = LOCKS[entry["stack"]]
        return {
            **entry,
            "source": {**source, "dependencies": {"runtime": runtime, "development": development}},
        }

    @property
    def toolbox(self) -> str:
        """The name of the image that build and test run in."""
        return f"toolbox-{self.stack}"

    @property
    def dag_id(self) -> str:
        """The id of the service's DAG: `release_ai_generation` for `ai-generation`."""
        return f"release_{self.service.replace('-', '_')}"

    @property
    def left_out(self) -> dict[str, str]:
        """The stages of build and test that the service says it has not, by id, and why."""
        stages = {"build": self.build, "test": self.test}
        return {
            f"{group}.{name}": why
            for group, entry in stages.items()
            for name in type(entry).model_fields
            if (why := getattr(entry, name).left_out)
        }

    @property
    def revision(self) -> str:
        """The first digits of a hash of the entry, as far as it is written: an upgrade with new defaults leaves it alone."""
        written = json.dumps(self.model_dump(mode="json", exclude_unset=True), sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]
