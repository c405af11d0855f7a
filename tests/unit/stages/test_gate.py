"""The gate lets pass what is on record as passed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from slipway.errors import PolicyFailed, Superseded
from slipway.ledger import Release, Stage
from slipway.release import Outcome
from slipway.stages.gate import GATE, Records, decide
from slipway.stages.stage import Run


def test_every_gate_of_the_run_must_have_passed(
    run: Callable[..., Run], world: Any, a_release: Callable[..., Release]
) -> None:
    at = run(GATE)
    assert len(at.flow.gating) == 10
    passed = [Stage(name, Outcome.PASSED, 1.0, None, world.now()) for name in at.flow.gating]
    world.of_ledger.releases[at.run_id] = a_release(stages=tuple(passed))
    assert GATE.run(at).passed == at.flow.gating
    world.of_ledger.releases[at.run_id] = a_release(stages=tuple(passed[1:]))
    with pytest.raises(PolicyFailed) as e:
        GATE.run(at)
    assert (e.value.code, e.value.lines) == ("gate.not-all-passed", ("build.compile: no record",))


def test_gate_that_gave_way_makes_the_release_give_way(
    run: Callable[..., Run], world: Any, a_release: Callable[..., Release]
) -> None:
    at = run(GATE)
    stages = dict.fromkeys(at.flow.gating, Outcome.PASSED) | {"scan.sast": Outcome.SUPERSEDED}
    world.of_ledger.releases[at.run_id] = a_release(
        stages=tuple(Stage(name, outcome, 1.0, None, world.now()) for name, outcome in stages.items())
    )
    at.ti.kept["scan.sast", "superseded_by"] = "ai-generation.bbbbbbbbbbbb"
    with pytest.raises(Superseded) as e:
        GATE.run(at)
    assert (e.value.code, e.value.by) == ("release.superseded", "ai-generation.bbbbbbbbbbbb")
    at.ti.kept.clear()  # nobody says for whom: then it is no gate that passed
    with pytest.raises(PolicyFailed):
        GATE.run(at)


def test_release_without_a_record_does_not_pass(run: Callable[..., Run], world: Any) -> None:
    world.of_ledger.releases.clear()
    with pytest.raises(PolicyFailed, match="not every gate passed"):
        GATE.run(run(GATE))


@for_any(
    st.lists(st.sampled_from("abc"), unique=True),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(Outcome)),
)
def test_only_passed_passes(required: list[str], outcomes: dict[str, Outcome]) -> None:
    records = Records(required, outcomes)
    if required and all(outcomes.get(one) is Outcome.PASSED for one in required):
        assert list(decide(None, records).passed) == required  # type: ignore[arg-type]
    else:
        with pytest.raises(PolicyFailed):
            decide(None, records)  # type: ignore[arg-type]


def test_what_the_catalog_switches_off_is_skipped_and_lets_pass_as_long_as_it_says_so(
    run: Callable[..., Run],
    world: Any,
    a_release: Callable[..., Release],
    changed: Callable[..., Any],
    service: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = dict.fromkeys(run(GATE).flow.gating, Outcome.PASSED) | {"scan.dynamic": Outcome.SKIPPED}
    world.of_ledger.releases[run(GATE).run_id] = a_release(
        stages=tuple(Stage(name, outcome, 1.0, None, world.now()) for name, outcome in stages.items())
    )
    with pytest.raises(PolicyFailed):
        GATE.run(run(GATE))
    for until, passes in ((world.now().date(), True), (world.now().date() - timedelta(days=1), False)):
        words = {"policy": "off", "reason": "a worker without HTTP", "until": until}
        off = changed("scan", dynamic=service.scan.dynamic.model_copy(update=words))
        if passes:
            assert "scan.dynamic" not in GATE.run(run(GATE, of=off)).passed
            assert "switched off in the catalog: scan.dynamic" in capsys.readouterr().out
        else:
            with pytest.raises(PolicyFailed):
                GATE.run(run(GATE, of=off))
