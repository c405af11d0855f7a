"""What every gate shares: how a tool is run, and how a verdict is told.

Exit codes: 0 nothing was found, 1 the service falls short (findings), 3 could not be evaluated, which is never a pass. What
findings mean for the release (severity, waivers, baseline) is not decided here, but by whoever reads the report.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

PASSED, FAILED, ERRORED = 0, 1, 3
SOURCE = Path("/workspace/src")
DEPS = Path("/deps")
OUT = Path("/out")
SHOWN = 40  # findings told in the log; all of them are in /out/findings.json


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `line` counts from 1; 0 is the whole file.

    `context` is what it is known by in a later commit, besides rule and path: by itself the text of its line, of which the report
    has a hash. `aliases` are other ids of the rule; `ships` says whether it concerns what an image holds.
    """

    path: str
    line: int
    rule: str
    message: str
    advice: str = ""
    severity: str = "high"  # low, medium, high, critical, unknown
    context: str | None = None
    aliases: tuple[str, ...] = ()
    ships: bool = True

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.rule}: {self.message}" + (
            f"\n    what to do: {self.advice}" if self.advice else ""
        )


@dataclass(frozen=True)
class Verdict:
    """What a gate says: `looked_at` tells what was looked at; without findings the gate passed."""

    looked_at: str
    findings: Sequence[Finding] = field(default_factory=tuple)
    report: bool = True  # whether findings.json is written


class Failed(Exception):
    """The service falls short in a way that has no list of findings."""


class CannotEvaluate(Exception):
    """Something of the platform is missing, stale or broken: not the service's fault, and not a pass."""


def main(name: str, gate: Callable[[list[str]], Verdict]) -> None:
    """Runs a gate and exits with its verdict; a person's first useful line comes first."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # git takes any bytes for a name
    try:
        verdict = gate(sys.argv[1:])
        if verdict.report:
            write_report(name, verdict)
    except Failed as reason:
        print(f"FAILED {name}: {reason}", flush=True)
        sys.exit(FAILED)
    except CannotEvaluate as reason:
        print(f"NOT EVALUATED {name}: {reason}", flush=True)
        sys.exit(ERRORED)
    except Exception as unexpected:
        print(
            f"NOT EVALUATED {name}: the gate itself broke: {type(unexpected).__name__}: {unexpected}",
            flush=True,
        )
        traceback.print_exc()
        sys.exit(ERRORED)
    if not verdict.findings:
        print(f"PASSED {name}: {verdict.looked_at}", flush=True)
        sys.exit(PASSED)
    count = len(verdict.findings)
    print(f"FAILED {name}: {count} finding{'s' * (count != 1)} in {verdict.looked_at}")
    for finding in verdict.findings[:SHOWN]:
        print(finding)
    if count > SHOWN:
        print(f"... and {count - SHOWN} more in findings.json")
    sys.stdout.flush()
    sys.exit(FAILED)


def write_report(name: str, verdict: Verdict) -> None:
    outcome = "failed" if verdict.findings else "passed"
    content = {
        "gate": name,
        "outcome": outcome,
        "looked_at": verdict.looked_at,
        "findings": [asdict(f) for f in verdict.findings],
    }
    report("findings.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    # without spaces: a service that comes in with thousands of findings must fit into what is kept of a report
    text = json.dumps(sarif(name, verdict.findings), separators=(",", ":"))
    report(f"{name}.sarif").write_text(text + "\n", encoding="utf-8")


LEVELS = {"low": "note", "medium": "warning"}


def sarif(name: str, findings: Sequence[Finding]) -> dict[str, object]:
    """Findings as SARIF 2.1.0, as editors and forges read them, and as the release is judged by."""
    lines = Lines()
    results = []
    for finding in findings:
        place: dict[str, object] = {
            "artifactLocation": {"uri": quote(finding.path, errors="surrogateescape")}
        }
        if finding.line > 0:
            place["region"] = {"startLine": finding.line}
        context = lines.text(finding) if finding.context is None else finding.context
        more = {"severity": finding.severity, "advice": finding.advice}
        more |= {"aliases": list(finding.aliases)} if finding.aliases else {}
        more |= {} if finding.ships else {"ships": False}
        results.append(
            {
                "ruleId": finding.rule,
                "level": LEVELS.get(finding.severity, "error"),
                # editors and forges show nothing else
                "message": {
                    "text": finding.message + f" What to do: {finding.advice}" * bool(finding.advice)
                },
                "locations": [{"physicalLocation": place}],
                "partialFingerprints": {"slipwayContext/v1": hashlib.sha256(context.encode()).hexdigest()},
                "properties": more,
            }
        )
    rules = [{"id": rule} for rule in sorted({finding.rule for finding in findings})]
    run = {"tool": {"driver": {"name": f"slipway {name}", "rules": rules}}, "results": results}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


class Lines:
    """The text of findings' lines, without what only sets it apart; of each file the lines are read once."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {}

    def text(self, finding: Finding) -> str:
        if finding.line < 1:
            return ""
        if finding.path not in self.of:
            try:
                data = (SOURCE / finding.path).read_bytes()
            except (OSError, ValueError):  # a member of an archive, or nothing of the tree
                data = b""
            self.of[finding.path] = data.decode("utf-8", "replace").splitlines()
        lines = self.of[finding.path]
        return " ".join(lines[finding.line - 1].split()) if finding.line <= len(lines) else ""


def report(name: str) -> Path:
    """The path of a report, with no older one there: a tool that writes nothing must not pass by it."""
    if not os.access(OUT, os.W_OK):
        raise CannotEvaluate(
            f"{OUT} is missing or not writable: mount a volume there that uid {os.getuid()} may write to"
        )
    path = OUT / name
    path.unlink(missing_ok=True)
    return path


def run(
    argv: Sequence[str | Path], environment: Mapping[str, str] | None = None, cwd: Path = SOURCE
) -> tuple[int, str, str]:
    """Exit code, standard output and error of a tool.

    A tool that is missing or was killed is not a verdict.
    """
    tool = Path(str(argv[0])).name
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            capture_output=True,
        )
    except OSError as error:
        raise CannotEvaluate(
            f"{tool} cannot be started ({error}): is this the right toolbox, and {cwd} there?"
        ) from error
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode < 0 or done.returncode == 137:
        signal = -done.returncode if done.returncode < 0 else 9
        raise CannotEvaluate(f"{tool} was killed (signal {signal}): too little memory?\n{last(err or out)}")
    return done.returncode, out, err


def parsed(text: str, tool: str, said: str = "") -> object:
    """The JSON that a tool printed. Anything else is trouble of the tool's, whatever its exit code was."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise CannotEvaluate(f"{tool} did not print its report:\n{last(said or text)}") from error


def last(text: str, lines: int = 25) -> str:
    """The last lines of what a tool said, bounded."""
    return "\n".join("  " + line[:300] for line in text.strip().splitlines()[-lines:])


def require_source() -> None:
    if not SOURCE.is_dir() or not any(SOURCE.iterdir()):
        raise CannotEvaluate(f"{SOURCE} is missing or empty: the source volume is not there")


def relative(path: str | Path) -> str:
    try:
        return str(Path(path).relative_to(SOURCE))
    except ValueError:
        return str(path)


def looked_at_all(tool: str, wanted: Iterable[str], seen: Iterable[str]) -> None:
    """Holds a tool to the list of what the tree has.

    :raises CannotEvaluate: if it looked at fewer files; it names them.
    """
    if missed := sorted(set(wanted) - set(seen)):
        some = ", ".join(missed[:5]) + (f" and {len(missed) - 5} more" if len(missed) > 5 else "")
        raise CannotEvaluate(f"{tool} did not look at {some}: it leaves out what the image can hold")


def argument(arguments: Sequence[str], index: int, usage: str) -> str:
    if len(arguments) <= index:
        raise CannotEvaluate(f"usage: {usage}")
    return arguments[index]


def inside(name: str) -> Path:
    """A path of the source tree that was given by name; one that leads out of it is refused."""
    path = (SOURCE / name).resolve()
    if not path.is_relative_to(SOURCE.resolve()):
        raise Failed(f"{name} leads out of the source tree")
    return path
