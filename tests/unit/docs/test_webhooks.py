"""docs/webhooks.md has every answer, with its status."""

import re
from pathlib import Path

from slipway.intake.answers import Answer, Code
from slipway.intake.receiving import FORGES

TEXT = (Path(__file__).parents[3] / "docs/webhooks.md").read_text()


def test_each_answer_is_told_with_its_status() -> None:
    told = dict(re.findall(r"^\| `(delivery\.[a-z-]+)` \| (\d{3}) \|", TEXT, re.MULTILINE))
    assert told == {code.value: str(Answer(code, "").status) for code in Code}


def test_each_forge_is_told() -> None:
    names = {"gitea": "Gitea, Forgejo", "github": "GitHub", "gitlab": "GitLab", "git": "plain git"}
    for forge in FORGES:
        assert f"| {names[forge.name]} |" in TEXT
