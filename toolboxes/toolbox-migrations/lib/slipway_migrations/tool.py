"""Runs an engine's own program: what it says is bounded and holds no password, and it ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slipway_migrations.outcome import ServiceFailed, Unavailable

Answer = TypeVar("Answer")
TOLD = 2_000_000  # characters of one tool's output that go into the log
READ = 64_000_000  # bytes of one tool's answer that are read


@dataclass
class Tools:
    """What runs, in a folder of its own: no settings of the service's lie there.

    :param redact: takes secrets out of a text
    """

    folder: Path
    redact: Callable[[str], str]

    def __post_init__(self) -> None:
        self.running: set[subprocess.Popen[bytes]] = set()

    def _start(
        self, argv: Sequence[str], environment: Mapping[str, str], out: int, err: int
    ) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOSTNAME", "TZ") if name in os.environ}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        try:
            started = subprocess.Popen(
                argv,
                cwd=home,
                env={**kept, "HOME": str(home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as missing:
            raise Unavailable(
                f"{argv[0]} cannot be started ({missing}): is this the image toolbox-migrations?"
            ) from missing
        self.running.add(started)
        return started

    def _ended(self, process: subprocess.Popen[bytes], name: str) -> int:
        code = process.wait()
        self.running.discard(process)
        if code < 0 or code == 137:
            raise Unavailable(
                f"{name} was killed by signal {-code if code < 0 else 9}: too little memory, or ended from outside"
            )
        return code

    def end(self) -> None:
        """End what still runs: its transaction is rolled back when its connection closes."""
        for process in list(self.running):
            for number, wait_s in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
                try:
                    os.killpg(process.pid, number)
                    process.wait(wait_s)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue

    def ask(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Give exit code, answer and log of a tool that only asks."""
        with tempfile.TemporaryFile(dir=self.folder) as out, tempfile.TemporaryFile(dir=self.folder) as err:
            code = self._ended(self._start(argv, environment, out.fileno(), err.fileno()), argv[0])
            texts = []
            for file in (out, err):
                if file.tell() > READ:
                    raise ServiceFailed(
                        f"the changelog makes {file.tell()} bytes of SQL; {READ} are read at most"
                    )
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        return code, texts[0], texts[1]

    def watch(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Give exit code and the last lines of a tool that works, and tell them as they come."""
        process = self._start(argv, environment, subprocess.PIPE, subprocess.STDOUT)
        assert process.stdout is not None
        lines, told = deque[str](maxlen=2000), 0
        for raw in iter(lambda: process.stdout.readline(65536), b""):  # type: ignore[union-attr]
            line = self.redact(raw.decode(errors="replace"))
            lines.append(line)
            if told < TOLD:
                sys.stdout.write(line)
                sys.stdout.flush()
            told += len(line)
        return self._ended(process, argv[0]), "".join(lines)

    def both(self, first: Callable[[], Answer], second: Callable[[], Answer]) -> tuple[Answer, Answer]:
        """Do both at the same time; what the first raises comes before what the second does."""
        with ThreadPoolExecutor(1) as beside:
            later = beside.submit(second)
            try:
                return first(), later.result()
            except BaseException:
                self.end()  # of what is beside, which is waited for
                raise
