"""A set-up that is ended: at each of many moments, by TERM or KILL, on a machine of its own; the next `make demo` must succeed.

Run as `python3 -m faults.setup MOMENT TERM|KILL` on that machine, with the standard library only: there the
virtual environment itself is taken away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faults.interrupt import MOMENTS, Moment, interrupt
from slipway_sandbox.layout import Layout

if TYPE_CHECKING:
    from faults.case import Case, Seen
    from faults.scene import Scene

SECTION = "setup"
TOLD = "what came of it: "
DEMO_TIMEOUT_S = 3000
# Debian 12, Python and root are enough: these are hidden, except Go where the cluster is built (a Go of another version
# would build for ten minutes from nothing)
UNNEEDED = ("/usr/bin/node", "/usr/bin/npm", "/usr/bin/java", "/usr/bin/mvn")
GO = ("/usr/local/go", "/usr/bin/go")
HEALED = re.compile(
    r"ended \d+ processes|an installation was ended|healed|made anew|making it anew|cleared \d+|started anew|waiting for"
)


# --- on that machine ---
def make_so(layout: Layout, moment: Moment) -> None:
    """Stop the sandbox there, and take away what the moment is the making of."""
    subprocess.run(["make", "-s", "down"], cwd=layout.checkout, check=False, capture_output=True, timeout=300)
    roots = {"cache:": layout.cache, "checkout:": layout.checkout}
    for pattern in moment.lacks:
        head = next((head for head in roots if pattern.startswith(head)), "")
        for path in roots.get(head, layout.state).glob(pattern.removeprefix(head)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if moment.before:
        subprocess.run(["sh", "-c", moment.before], check=False, capture_output=True, timeout=300)
    building = any("kubernetes" in pattern for pattern in moment.lacks if pattern.startswith("cache:"))
    for place in (*UNNEEDED, *(() if building else GO)):
        path = Path(place)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def tried(name: str, sign: str, target: str = "demo") -> dict[str, object]:
    """End a `make demo` at the moment, then make another to its end; give what came of it.

    :param target: what is made afterwards: `up` is quicker, and releases nothing.
    """
    layout, moment = Layout.from_environment(), MOMENTS[name]
    make_so(layout, moment)
    start = time.monotonic()
    came, seen = interrupt(moment, signal.Signals[f"SIG{sign}"], ["make", "demo"])
    ended_s = time.monotonic() - start
    if not came:
        return {"came": False, "seen": seen, "seconds": ended_s}
    start = time.monotonic()
    done = subprocess.run(
        ["make", target], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", timeout=DEMO_TIMEOUT_S, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    released = next((line for line in lines if line.startswith("RELEASED ")), "")
    return {
        "came": True, "seen": seen, "ended_s": round(ended_s, 1), "code": done.returncode, "released": released,
        "healed": [line for line in lines if HEALED.search(line)], "seconds": round(time.monotonic() - start, 1),
        "last": "" if released else "\n".join(lines[-40:]),
    }  # fmt: skip


# --- from this one ---
def ended_at(name: str, sign: str, scene: Scene) -> Seen:
    """Let a set-up be ended on a machine of its own, and see how the next goes."""
    from faults.case import Seen

    layout = scene.sandbox.layout
    base = layout.state.parent / "second-machine"
    fill(layout, base)
    start = time.monotonic()
    done = subprocess.run(
        ["bash", layout.checkout / "tests/faults/second-machine.sh", base, layout.checkout, layout.state, layout.cache,
         "env", f"PYTHONPATH={layout.checkout}/sandbox:{layout.checkout}/tests",
         f"SLIPWAY_STATE={layout.state}", f"SLIPWAY_CACHE={layout.cache}",
         "python3", "-m", "faults.setup", name, sign],
        capture_output=True, text=True, check=False, timeout=2 * DEMO_TIMEOUT_S,
    )  # fmt: skip
    found = next(
        (line.removeprefix(TOLD) for line in done.stdout.splitlines() if line.startswith(TOLD)), None
    )
    seconds = time.monotonic() - start
    if found is None:
        return Seen(None, "broken", f"{done.stdout[-500:]}{done.stderr[-500:]}", seconds=seconds)
    told = json.loads(found)
    if not told["came"]:
        return Seen(None, "not ended", f"the moment did not come: {told['seen']}", seconds=seconds)
    outcome = "released" if told["code"] == 0 and told["released"] else "failed"
    words = told["released"] or told["last"]
    return Seen(
        None, outcome, "\n".join([words, told["seen"], *told["healed"]]), seconds=float(told["seconds"])
    )


def fill(layout: Layout, base: Path) -> None:
    """Give the other machine what this one has built, once: by hard links, as nothing in the cache is changed in place."""
    if not (base / "cache").is_dir():
        base.mkdir(parents=True, exist_ok=True)
        half = base / "cache.new"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(
            layout.cache, half, copy_function=os.link, ignore=shutil.ignore_patterns(".lock", "*.log", "work")
        )
        half.rename(base / "cache")


def _cases() -> tuple[Case, ...]:
    from faults.case import Case, Wanted

    return tuple(
        Case(
            f"ended-at-{name}-{sign.lower()}", SECTION, f"{moment.title}, and all of it is ended by {sign}",
            Wanted(None, "released", r"^RELEASED ai-generation \S+ \S+@sha256:\S+ healthy in "), partial(ended_at, name, sign),
        )
        for number, (name, moment) in enumerate(MOMENTS.items())
        for sign in (("KILL", "TERM")[number % 2],)
    )  # fmt: skip


if __name__ == "__main__":
    print(TOLD + json.dumps(tried(*sys.argv[1:])), flush=True)
else:
    CASES = _cases()
