"""The release's page, rendered as the plugin does."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).parents[3]


class Moment:
    def isoformat(self, timespec: str) -> str:
        return f"now, in {timespec}"


def rendered(plan: str = "", held: object = None, undone: object = None, **known: object) -> str:
    fixed = {
        "service": "web", "commit": "0123456789abcdef", "environment": "staging", "status": "failed",
        "superseded_by": None, "stage": "test.unit", "code": "gate.failed", "reason": "test.unit failed: <b>1</b> finding",
        "run_id": "web.0123456789ab", "ref": "refs/heads/main", "tree": None, "digest": None, "image": None,
        "config_revision": None, "schema_revision": None, "schema_revision_before": None, "manifests": None,
        "attempts": 1, "rolled_back_to": None, "works_from": None, "plan_hash": None,
        "started_at": Moment(), "finished_at": None, "stages": [], "made_by": lambda: None,
    }  # fmt: skip
    page = Environment(autoescape=True, undefined=StrictUndefined)
    template = page.from_string((ROOT / "plugins/release.html").read_text())
    steps = ["push a commit", "or `slipway release web 0123 --again`"]
    return template.render(
        release={**fixed, **known},
        dag_id="release_web",
        reported=set(),
        steps=steps,
        plan=plan,
        held=held,
        undone=undone,
    )


def test_page_leads_with_status_stage_reason_and_how_to_go_on() -> None:
    page = rendered()
    order = [
        "failed</span>",
        ">test.unit</a></h1>",
        "test.unit failed: ",
        "<code>gate.failed</code>",
        "How to go on",
        "push a commit",
        "Commit</th>",
    ]
    assert [page.index(one) for one in order] == sorted(page.index(one) for one in order)
    assert "<code>slipway release web 0123 --again</code>" in page
    assert 'href="/dags/release_web/runs/web.0123456789ab/tasks/test.unit"' in page


def test_page_shows_the_schemas_that_the_image_works_with() -> None:
    page = rendered(schema_revision_before="003", schema_revision="004", works_from="002")
    assert "003 → 004</code>; the image works from <code>002</code> on" in page
    assert "works from" not in rendered()


def test_held_commit_says_so_and_how_to_let_it_go() -> None:
    page = rendered(held=SimpleNamespace(held_at=datetime(2026, 11, 2, 3, 4, tzinfo=UTC)))
    assert "since 2026-11-02 03:04 UTC" in page
    assert "<code>slipway holds release web 0123456789ab</code>" in page
    assert "<strong>held</strong>" not in rendered()


def test_rollback_by_hand_says_whose_it_was_and_why() -> None:
    page = rendered(undone=SimpleNamespace(words=lambda: "passed by anna: <slow>"))
    assert "Rolled back by hand: passed by anna: &lt;slow&gt;" in page
    assert "by hand" not in rendered()


def test_words_of_pushed_code_are_never_markup() -> None:
    assert "&lt;b&gt;1&lt;/b&gt;" in rendered()
    assert "<b>1" not in rendered()


def test_superseded_release_links_to_the_newer_one() -> None:
    page = rendered(status="superseded", superseded_by="web.ba9876543210")
    assert '<a href="/slipway/runs/web.ba9876543210">web.ba9876543210</a>' in page


def test_rolled_back_release_links_to_the_one_that_serves_and_shows_its_plan() -> None:
    page = rendered(
        plan="image: a -> <b>", status="rolled_back", rolled_back_to="web.9876", plan_hash="f" * 64
    )
    assert 'rolled back</span> to <a href="/slipway/runs/web.9876">web.9876</a>' in page
    assert "<pre>image: a -&gt; &lt;b&gt;</pre>" in page
    assert "f" * 64 in page
    assert 'id="plan"' not in rendered()


def test_page_says_which_slipway_made_the_release() -> None:
    page = rendered(made_by=lambda: "Slipway 1, catalog entry 0123")
    assert "<td>Slipway 1, catalog entry 0123</td>" in page
    assert "Made by" not in rendered()
