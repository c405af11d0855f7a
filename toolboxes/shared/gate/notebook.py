"""The Python of a Jupyter notebook (https://nbformat.readthedocs.io/), for scanners that read Python only."""

from __future__ import annotations

import json
import re
from typing import Any

import tree
from gate import Finding

MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*)$")
ADVICE = "save it by Jupyter, or remove it: what a scanner cannot read is not shipped"


def code(name: str, data: bytes) -> tuple[str, Finding | None]:
    """Give a notebook's code cells as one Python file, IPython's own lines taken out, and what is wrong with it."""
    try:
        cells: list[Any] = json.loads(data)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return "", Finding(name, 0, "syntax", f"is no notebook of nbformat 4 ({error!r})", ADVICE)
    lines = [line for source in sources for line in source.splitlines()]
    plain = "\n".join(match[1] + "pass" if (match := MAGIC.match(line)) else line for line in lines) + "\n"
    return tree.source_text(name, plain.encode(errors="surrogatepass"))
