"""Whose fault a failed build is: BuildKit's words decide, and none of those that pushed code has among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.buildkit import Fault, failed_step, fault, lines

BASE_GONE = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#3 [internal] load metadata for 10.200.0.1:15000/slipway/base-python@sha256:aa
#3 ERROR: failed to do request: Head "https://10.200.0.1:15000/v2/": dial tcp 10.200.0.1:15000: connect: connection refused
------
 > [internal] load metadata for 10.200.0.1:15000/slipway/base-python@sha256:aa:
------
failed to solve with frontend dockerfile.v0: failed to create LLB definition: failed to do request: dial tcp: connection refused
"""
FORGED = (
    "dial tcp: i/o timeout\r#3 [internal] load metadata for x\r#3 ERROR: x\u2028rpc error: code = Unavailable"
)
RUN = """\
#3 [internal] load metadata for 10.200.0.1:15000/slipway/base-python@sha256:aa
#3 DONE 0.1s
#5 [2/2] RUN echo 'rpc error: code = Unavailable: no space left on device' && exit 7
#5 0.301 {printed}
#5 ERROR: executor failed running [/bin/sh -c echo 'code = Unavailable: no space left on device' && exit 7]: exit code: 7
------
 > [2/2] RUN echo 'rpc error: code = Unavailable: no space left on device' && exit 7:
#5 0.301 {printed}
------
executor failed running [/bin/sh -c echo 'code = Unavailable: no space left on device' && exit 7]: exit code: 7
"""
NEWER = """\
#6 [internal] load metadata for docker.io/library/x
#6 DONE 0.1s
#7 [2/2] RUN echo code = Unavailable; exit 1
#7 0.301 {printed}
#7 ERROR: process "/bin/sh -c echo code = Unavailable; exit 1" did not complete successfully: exit code: 1
------
 > [2/2] RUN echo code = Unavailable; exit 1:
0.301 {printed}
------
Dockerfile:3
--------------------
   3 | >>> RUN echo code = Unavailable; exit 1
--------------------
ERROR: failed to solve: process "/bin/sh -c echo code = Unavailable; exit 1" did not complete successfully: exit code: 1
"""
COPY = '#9 [builder 6/7] COPY {name} /app\n#9 ERROR: failed to calculate checksum of ref x: "/{name}": not found\n'


def test_base_that_cannot_be_had_is_not_the_dockerfiles_fault() -> None:
    assert fault(lines(BASE_GONE)) is Fault.BASE
    pulled = (
        "#4 [builder 1/7] FROM registry/base@sha256:aa\n#4 ERROR: failed to copy: unexpected status: 503\n"
    )
    assert fault(lines(pulled)) is Fault.BASE


@pytest.mark.parametrize(
    "printed", ["", "dial tcp", "unexpected EOF", "Cannot connect to the Docker daemon", FORGED]
)
@pytest.mark.parametrize("said", [RUN, NEWER], ids=["20.10", "newer"])
def test_what_a_step_says_decides_nothing(said: str, printed: str) -> None:
    assert fault(lines(said.format(printed=printed))) is Fault.DOCKERFILE


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_whatever_a_step_prints_decides_nothing(printed: str) -> None:
    for said in (RUN, NEWER):
        assert fault(lines(said.format(printed=printed))) is Fault.DOCKERFILE


@pytest.mark.parametrize(
    "name", ["nothing", "no space left on device", "rpc error: code = Unavailable", "unexpected EOF"]
)
def test_name_that_an_instruction_gives_decides_nothing(name: str) -> None:
    assert fault(lines(COPY.format(name=name))) is Fault.DOCKERFILE


@pytest.mark.parametrize(
    "said",
    [
        "#9 exporting to image\n#9 ERROR: failed to commit: whatever\n",
        "#8 [2/2] COPY . /app\n#8 ERROR: failed to copy file: write /var/lib/x: no space left on device\n",
        "#8 [2/2] RUN make\n#8 ERROR: rpc error: code = Unavailable desc = error reading from server: EOF\n",
        "unexpected EOF",  # seen of an engine that was stopped while it built
        "ERROR: failed to solve: rpc error: code = Unavailable desc = error reading from server: EOF",
        "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
        "failed to dial gRPC: cannot connect to the Docker daemon. Is 'docker daemon' running on this host?",
    ],
)
def test_engine_that_went_away_or_is_full_is_told_from_the_dockerfile(said: str) -> None:
    assert fault(lines(said)) is Fault.ENGINE


@pytest.mark.parametrize(
    "said",
    [
        "",
        "#6 0.412 tarfile.ReadError: unexpected EOF",
        "#6 0.412 rpc error: code = Unavailable",
        "  rpc error: code = Unavailable",
        "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "
        "dockerfile parse error line 3: unknown instruction: rpc error: code = Unavailable",
        "executor failed running [/bin/sh -c exit 7]: exit code: 7",
    ],
)
def test_all_else_is_the_dockerfiles_fault(said: str) -> None:
    assert fault(lines(said)) is Fault.DOCKERFILE


UNREACHED = (
    "ERROR: failed to solve: 10.0.0.1:5000/base@sha256:0: failed to resolve source metadata for base: failed to do request: "
    'Head "https://10.0.0.1:5000/v2/": dial tcp 10.0.0.1:5000: connect: connection refused'
)


@pytest.mark.parametrize(
    "last",
    [
        'ERROR: failed to solve: process "/bin/sh -c code = Unavailable; exit 1" did not complete successfully: exit code: 1',
        "executor failed running [/bin/sh -c echo dial tcp: i/o timeout; exit 7]: exit code: 7",
        '… of a very long command" did not complete successfully: exit code: 137',
    ],
)
def test_no_words_of_a_step_that_fails_make_it_a_fault_of_the_platform(last: str) -> None:
    printed = ["0.1 unexpected EOF", "0.2 rpc error: code = Unavailable", UNREACHED]
    assert fault([*printed, "------", last]) is Fault.DOCKERFILE


def test_no_words_of_a_step_that_passed_make_another_fault_one_of_the_platform() -> None:
    printed = ["#7 0.1 dial tcp: connection refused", "#7 0.2 #8 ERROR: dial tcp", "0.3 TLS handshake"]
    for last in (
        'ERROR: failed to solve: failed to compute cache key: "/dial tcp" not found: not found',
        'ERROR: failed to solve: failed to parse stage name "i/o timeout\\": x": invalid',
    ):
        assert fault([*printed, last]) is Fault.DOCKERFILE


def test_registry_that_does_not_answer_is_the_platforms() -> None:
    assert fault([UNREACHED]) is Fault.BASE


def test_a_build_that_fails_names_its_instruction() -> None:
    said = [
        "#9 [builder 6/7] COPY nowhere /app/smoke",
        '#9 ERROR: "/nowhere" not found: not found',
        "------",
        " > [builder 6/7] COPY nowhere /app/smoke:",
        "------",
        'failed to compute cache key: "/nowhere" not found: not found',
    ]
    assert failed_step(said) == 'COPY nowhere /app/smoke: "/nowhere" not found: not found'
    ref = "failed to calculate checksum of ref yd27f::0nxfr"
    said = [
        "#6 [1/2] COPY nowhere /app",
        f'#6 ERROR: {ref}: "/nowhere": not found',
        " > [1/2] COPY nowhere /app:",
    ]
    assert failed_step(said) == 'COPY nowhere /app: "/nowhere": not found'
    assert failed_step(["#1 done", "Dockerfile parse error line 3"]) == "Dockerfile parse error line 3"
    assert failed_step([]) == ""
