"""One module alone knows how Airflow keeps what stages give to each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from slipway.errors import Permanent
from slipway.release import given
from slipway.stages import xcom

ROOT = Path(__file__).parents[3]
HOME = ROOT / "include/slipway/stages/xcom.py"
PUSHED = given.Pushed(image="r/web@sha256:1", digest="sha256:1", tag="t")
ACCEPTED = given.Accepted(service="web", commit="c", ref="r", images={"a-b": "i"}, advisories_max_age_days=7)


class Ti:
    """A task instance that remembers what was given, by task and key."""

    def __init__(self, task_id: str = "image.push") -> None:
        self.task_id, self.kept = task_id, dict[tuple[str, str], Any]()

    def xcom_push(self, key: str, value: Any) -> None:
        self.kept[self.task_id, key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.kept.get((task_ids, key))


def test_no_other_module_pulls_pushes_or_names_a_key() -> None:
    files = [
        one for folder in ("include", "plugins", "dags") for one in sorted((ROOT / folder).rglob("*.py"))
    ]
    assert len(files) > 80
    keys = {
        kind.key for kind in vars(given).values() if isinstance(kind, type) and issubclass(kind, given.Given)
    }
    named = re.compile(rf"xcom_(pull|push)\b(?!=False)|key=[\"']({'|'.join(sorted(keys))})[\"']")
    found = {
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        if file != HOME
        for match in named.finditer(re.sub(r"#.*", "", file.read_text()))
    }
    assert found - {"include/slipway/release/given.py: key"} == set()
    assert "xcom_pull(" in HOME.read_text(), "the rule looks for what is not there any more"


def test_what_is_given_is_taken_as_its_type() -> None:
    ti = Ti()
    xcom.give(ti, PUSHED)
    assert xcom.take(ti, given.Pushed) == PUSHED
    assert xcom.find(ti, given.Built) is None
    assert xcom.returned(PUSHED) == PUSHED.dump()
    assert xcom.returned(None) is None


def test_what_was_not_given_is_said_with_the_task_to_clear() -> None:
    with pytest.raises(Permanent, match=r"^`image\.push` of this run gave no Pushed") as e:
        xcom.take(Ti(), given.Pushed)
    assert e.value.remedy == "clear this run's task `image.push` with downstream"


def rendered(template: str, ti: Ti) -> str:
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701  # as Airflow's are
    environment.filters.update(xcom.FILTERS)
    return environment.from_string(template).render(ti=ti, run_id="web.1")


def test_template_gives_a_field_or_what_is_in_it() -> None:
    ti = Ti("accept")
    xcom.give(ti, ACCEPTED)
    assert rendered(xcom.templated(given.Accepted, "images", "a-b"), ti) == "i"
    assert rendered(xcom.templated(given.Accepted, "commit"), ti) == "c"
    changed = "{{ " + xcom.expression(given.Accepted, "images") + " | list | tojson }}"
    assert rendered(changed, ti) == '["a-b"]'


def test_template_reads_the_task_that_it_is_told() -> None:
    ti = Ti("web.look")
    xcom.give(ti, given.CheckedOut(tree="t", time=1, subject="s", volume="v", dependencies="d"))
    assert rendered(xcom.templated(given.Workspace, "volume", of="web.look"), ti) == "v"


def test_template_of_what_was_not_given_or_cannot_be_read_says_so() -> None:
    ti = Ti()
    with pytest.raises(Permanent, match="of this run gave no Pushed"):
        rendered(xcom.templated(given.Pushed, "image"), ti)
    ti.kept["image.push", given.RESULT] = {**PUSHED.dump(), "version": 9}
    with pytest.raises(Permanent, match="of version 9 of Pushed"):
        rendered(xcom.templated(given.Pushed, "image"), ti)


def test_template_of_a_field_that_is_not_there_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="Pushed has no field sha"):
        xcom.templated(given.Pushed, "sha")


def test_value_is_asked_for_once_where_many_templates_want_it() -> None:
    asked: list[str] = []

    class Asked(Ti):
        def xcom_pull(self, task_ids: str, key: str) -> Any:
            asked.append(task_ids)
            return super().xcom_pull(task_ids=task_ids, key=key)

    ti = xcom.remembering(Asked())
    assert [ti.xcom_pull(task_ids=one, key="return_value") for one in "aab"] == [None] * 3
    assert asked == ["a", "b"]
    assert ti.kept == {}
