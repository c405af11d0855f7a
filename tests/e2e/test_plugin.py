"""What the plugin shows of a release, and to whom."""

from __future__ import annotations

from slipway_sandbox.local_http import session
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.runs import Airflow


def test_nothing_is_shown_without_signing_in(project: Project, first: Pushed) -> None:
    stranger, base = session(), f"{project.sandbox.airflow_url}/slipway"
    run = project.run_id(first.commit)
    for path in ("releases/ai-generation", f"releases/ai-generation/{first.commit}", f"runs/{run}"):
        assert stranger.get(f"{base}/{path}", timeout=30).status_code == 401, path
    browser = stranger.get(
        f"{base}/runs/{run}", headers={"Accept": "text/html"}, allow_redirects=False, timeout=30
    )
    assert browser.status_code == 307
    assert "/auth/login" in browser.headers["location"]


def test_releases_are_those_of_the_ledger(project: Project, first: Pushed) -> None:
    shown = project.airflow.call("GET", f"/slipway/releases/ai-generation/{first.commit[:10]}").json()
    assert shown == first.release.show()
    newest = project.airflow.call("GET", "/slipway/releases/ai-generation?limit=100").json()
    assert shown in newest
    assert project.airflow.call("GET", "/slipway/releases/nothing").json() == []
    wrong = project.airflow.call("GET", "/slipway/releases/ai-generation/zzz")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "commit.not-a-prefix")


def test_page_and_reports_of_a_run(project: Project, first: Pushed) -> None:
    run = f"/slipway/runs/{project.run_id(first.commit)}"
    page = project.airflow.call("GET", run, headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert first.commit in page.text
    assert str(first.release.digest) in page.text
    assert "junit.xml" in project.airflow.call("GET", f"{run}/reports/test.unit").json()
    junit = project.airflow.call("GET", f"{run}/reports/test.unit/junit.xml")
    assert junit.headers["content-type"].startswith("text/plain")
    assert "<testsuite" in junit.text
    assert "bom.json" in project.airflow.call("GET", f"{run}/reports/image.sbom").json()
    unknown = project.airflow.call("GET", "/slipway/runs/nothing")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "release.not-there")


def test_tasks_link_to_the_release(project: Project, first: Pushed) -> None:
    run = project.run_id(first.commit)
    base = f"/api/v2/dags/{project.service.dag_id}/dagRuns/{run}/taskInstances"
    links = project.airflow.call("GET", f"{base}/test.unit/links").json()["extra_links"]
    assert set(links) == {"Reports", "Release"}
    assert project.airflow.call("GET", links["Reports"]).json().keys() >= {"junit.xml"}
    assert project.airflow.call("GET", links["Release"].partition("#")[0]).json()["commit"] == first.commit


def test_only_who_may_start_runs_may_ask_which_run_is_meant(project: Project, first: Pushed) -> None:
    asked = {
        "commit": first.commit,
        "ref": "refs/heads/main",
        "is_head": False,
        "asked_by": "push",
    }
    path = "/slipway/releases/ai-generation"
    assert project.airflow.call("POST", path, json=asked).status_code == 404  # a viewer
    hook = Airflow(project.sandbox, "hook")
    told = hook.call("POST", path, json=asked).json()
    assert (told["is_new"], told["obstacles"]) == (False, []), told
    assert hook.call("POST", path, json={**asked, "commit": "main"}).status_code == 422
    assert (
        hook.call("POST", "/slipway/releases/nothing", json=asked).json()["obstacles"][0]["effect"]
        == "not started"
    )
