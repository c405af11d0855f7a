"""Secrets in any files: gitleaks with the platform's rules, over copies under names of ours.

gitleaks leaves out files by their name, their first bytes and their kind, so it gets copies, in pieces, each with a line of
ours at its end that it must find, too. Found values are neither shown nor in the reports.
"""

import hashlib
import secrets
import string
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import gate
import pieces

GITLEAKS, CONFIG, LEAKS = "/opt/toolbox/bin/gitleaks", Path("/opt/slipway/policy/gitleaks.toml"), 9
CANARY = "slipway-canary"
BATCH_BYTES = 64 << 20
ADVICE = "remove it, have it revoked where it is valid (git history keeps it), and read it from Vault"


def search(
    queue: Iterator[tuple[str, pieces.Piece]], advice: str = ADVICE
) -> tuple[set[str], set[gate.Finding]]:
    """Gives the names of all files that were looked at, and what was found in them."""
    if not CONFIG.is_file():
        raise gate.CannotEvaluate(f"{CONFIG} is missing: build the toolbox anew")
    names, findings, is_over = set(), set(), False
    while not is_over:
        with tempfile.TemporaryDirectory(prefix="secrets-") as folder:
            batch = Batch(Path(folder))
            is_over = batch.filled(queue)
            names |= {name for name, _ in batch.pieces.values()}
            findings |= batch.findings(advice)
    return names, findings


class Batch:
    """A folder of copies that is scanned at once; it knows what each copy is of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bytes = folder, 0
        self.pieces: dict[str, tuple[str, pieces.Piece]] = {}
        made = "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
        (folder / "probe.py").write_text(f'aws_key = "{made}"\n', encoding="utf-8")

    def add(self, name: str, piece: pieces.Piece) -> None:
        copy = f"{len(self.pieces):06}{pieces.suffix(name)}"
        # a first line of a length that nobody knows keeps gitleaks from taking it for something binary
        blank, token = " " * (512 + secrets.randbelow(2048)), f"{CANARY}-{secrets.token_hex(16)}"
        (self.folder / copy).write_bytes(f"{blank}\n".encode() + piece.data + f"\n{token}\n".encode())
        self.pieces[copy] = (name, piece)
        self.bytes += len(piece.data)

    def filled(self, queue: Iterator[tuple[str, pieces.Piece]]) -> bool:
        """Takes pieces until it is full, and says whether none is left."""
        for name, piece in queue:
            self.add(name, piece)
            if self.bytes > BATCH_BYTES:
                return False
        return True

    def findings(self, advice: str = ADVICE) -> set[gate.Finding]:
        """Scans it, and gives what was found in files of the tree."""
        found, proved, probed = set(), set(), False
        for leak in leaks(self.folder):
            copy = Path(leak["File"]).name
            if copy == "probe.py":
                probed = True
                continue
            name, piece = self.pieces[copy]
            if leak["RuleID"] == CANARY:
                proved |= {copy} if leak["StartLine"] == piece.data.count(b"\n") + 3 else set()
                continue
            line = piece.first_line + leak["StartLine"] - 2 if piece.is_text else 0
            found.add(
                gate.Finding(
                    name,
                    max(line, 0),
                    leak["RuleID"],
                    leak["Description"].rstrip("."),
                    advice,
                    context=known_by(piece, leak),
                )
            )
        if not probed:
            raise gate.CannotEvaluate(
                "gitleaks does not find a planted key: its rules are broken, build the toolbox anew"
            )
        missed = {name for copy, (name, _) in self.pieces.items() if copy not in proved}
        gate.looked_at_all("gitleaks", missed, ())
        return found


def known_by(piece: pieces.Piece, leak: Mapping[str, object]) -> str:
    """What tells a secret from another one in its place: 12 bits of a hash, by which nobody can try what it might be."""
    lines = piece.data.split(b"\n")[leak["StartLine"] - 2 : leak["EndLine"] - 1]
    return f"{leak['Match']} {hashlib.sha256(b' '.join(b' '.join(lines).split())).hexdigest()[:3]}"


def leaks(folder: Path) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [
            GITLEAKS,
            "dir",
            "--config",
            CONFIG,
            "--gitleaks-ignore-path",
            scratch,
            "--ignore-gitleaks-allow",
            "--redact=100",
            "--no-banner",
            "--no-color",
            "--log-level=warn",
            f"--exit-code={LEAKS}",
            "--report-format=json",
            "--report-path",
            report,
            folder,
        ]
        code, out, err = gate.run(command, cwd=Path(scratch))
        found = gate.parsed(
            report.read_text(encoding="utf-8") if report.is_file() else "", "gitleaks", err or out
        )
    if code not in (0, LEAKS) or bool(code) != bool(found):
        raise gate.CannotEvaluate(f"gitleaks broke (exit {code}):\n{gate.last(err or out)}")
    return found
