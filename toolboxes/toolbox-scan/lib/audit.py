"""Known vulnerabilities of packages of PyPI: pip-audit against the advisories in the toolbox. Asks no network."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import gate
import lock_pins
import osv
from packaging.version import Version

AUDIT = [
    "/opt/toolbox/bin/pip-audit",
    "--strict",
    "--require-hashes",
    "--disable-pip",
    "--vulnerability-service",
    "osv",
    "--format",
    "json",
]


def audited(
    advisories: osv.Advisories, lists: Sequence[Sequence[lock_pins.Pin]]
) -> Mapping[tuple[str, str], dict[str, object]]:
    """What is known of each package, by name and version; a package that a sample is not found of is no basis."""
    with osv.served(advisories) as url:
        package, version, known = advisories.sample()
        with tempfile.TemporaryDirectory() as scratch:
            probe = Path(scratch) / "probe.txt"
            probe.write_text(f"{package}=={version} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
            if not any(known in names(found) for found in audit([probe], url)[(package, version)]["vulns"]):
                raise gate.CannotEvaluate(
                    f"pip-audit does not find {known} in {package} {version}: build the toolbox anew"
                )
            files = [
                lock_pins.written(found, Path(scratch) / f"{number}.txt")
                for number, found in enumerate(lists)
                if found
            ]
            answers = audit(files, url) if files else {}
    wanted = {(pin.name, pin.version) for pins in lists for pin in pins}
    if missed := wanted - {key for key, item in answers.items() if "vulns" in item}:
        some = ", ".join(" ".join(key) for key in sorted(missed)[:5])
        raise gate.CannotEvaluate(f"pip-audit did not audit {some}")
    return answers


def findings(
    item: Mapping[str, object],
    where: tuple[str, int],
    pin: lock_pins.Pin,
    advisories: osv.Advisories,
    *,
    ships: bool,
    how: str,
) -> list[gate.Finding]:
    """What is known of a package, as findings. `how` says how a fixed version gets in."""
    found = []
    for vulnerability in item["vulns"]:
        fixes = vulnerability["fix_versions"]
        advice = f"update to {' or '.join(fixes)}{how}" if fixes else "no fixed version is known: replace it"
        id_, *aliases = names(vulnerability)
        found.append(
            gate.Finding(
                *where,
                id_,
                f"{pin.name} {pin.version}: {vulnerability['description'][:200]}"
                + "".join(f" ({one})" for one in aliases[:1]),
                advice,
                severity=advisories.severity(pin.name, id_),
                context=pin.name,
                aliases=tuple(aliases),
                ships=ships,
            )
        )
    return found


def names(vulnerability: dict[str, object]) -> list[str]:
    return [vulnerability["id"], *vulnerability["aliases"]]


def audit(locks: list[Path], url: str) -> dict[tuple[str, str], dict[str, object]]:
    """What pip-audit says of each package.

    Its exit code 1 means findings as well as crashes, so the report decides.
    """
    files = [part for lock in locks for part in ("-r", str(lock))]
    command = [
        *AUDIT,
        "--osv-url",
        url,
        "--progress-spinner",
        "off",
        "--cache-dir",
        "/tmp/pip-audit",
        "--timeout",
        "15",
        *files,
    ]
    code, out, err = gate.run(command, {"NO_PROXY": "*", "no_proxy": "*"}, cwd=Path("/tmp"))
    if code not in (0, 1):
        raise gate.CannotEvaluate(f"pip-audit broke (exit {code}):\n{gate.last(err)}")
    listed = gate.parsed(out, "pip-audit", err)["dependencies"]
    if bool(code) != any(item.get("vulns") for item in listed):
        raise gate.CannotEvaluate(f"pip-audit says {code}, but its report says otherwise:\n{gate.last(err)}")
    return {
        (osv.normalised(item["name"]), str(Version(item["version"]))): item
        for item in listed
        if "version" in item
    }
