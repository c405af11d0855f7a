"""What of a commit's files is refused, and that what is not stays what and where it is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.platform import Packages
from slipway.errors import PolicyFailed
from slipway.release import sources
from slipway.release.sources import Entry

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"7" * 64 + b"\nsize 52428800\n"


def file(path: str, text: bytes = b"", size: int | None = None, mode: str = sources.FILE) -> Entry:
    return Entry(path, mode, "0" * 40, len(text) if size is None else size, text)


def link(path: str, target: str) -> Entry:
    return file(path, target.encode(errors="surrogateescape"), mode=sources.LINK)


def said(entry: Entry) -> str:
    found = sources.misshapen([file("a"), entry]) or sources.misleading([file("a"), entry])
    return "\n".join(one.message for one in found)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (file("common", mode=sources.SUBMODULE), "common is a submodule"),
        (file("x", mode="020000"), "x has mode 020000"),
        (file("x", size=4096, mode=sources.LINK), "x is a link of 4096 bytes"),
        (file(".git/config"), "belongs to git"),
        (file("sub/.GIT/config"), "belongs to git"),
        (file(".git"), "belongs to git"),
        (file("a/../b"), "belongs to git or to the file system"),
        (file("a//b"), "belongs to git or to the file system"),
        (file("a\nb"), "'a\\nb' has a control character"),
        (file("a\\b"), "backslash"),
        (file("a\udcff"), "'a\\udcff' has a control character, a backslash or a byte that is no UTF-8"),
        (file("a\x7f"), "control character"),
        (file("é" * 128), "too long a name"),
        (file("/".join(["x" * 200] * 6)), "too long a name"),
        (file("src/__pycache__/run.py"), "src/__pycache__/run.py is in a folder __pycache__"),
        (file(".venv/lib/x.py"), "is in a folder .venv"),
        (file("src/shop/run.pyc"), "run.pyc is compiled"),
        (file("src/fast.cpython-311-x86_64-linux-gnu.so"), "is compiled"),
        (file("a"), "a is there twice"),
        (file("a/b"), "a is there twice"),
        (file("large", size=sources.FILE_MOST + 1), f"large has {sources.FILE_MOST + 1} bytes"),
        (file("model.bin", POINTER), "model.bin is in Git LFS"),
        (file("model.bin", POINTER.replace(b"oid", b"ext-0-foo sha256:77\noid")), "model.bin is in Git LFS"),
        (file("model.bin", b"/annex/objects/SHA256-s5--77\n"), "model.bin is in git-annex"),
        (link("data", "../../shared-data"), "data is a link that leads out of the repository: to ../../shared-data"),
        (link("data", ".."), "leads out"),
        (link("data", "/etc/passwd"), "leads out"),
        (link("b/c", "x/../../../b"), "leads out"),
        (link("annexed", ".git/annex/objects/x"), "annexed is a link that leads into .git"),
        (link("b", "b"), "b is a link that leads in a circle"),
        (link("b", "b/b"), "circle"),
        (link("b", "a\0b"), "without a target"),
        (link("b", ""), "without a target"),
    ],
)  # fmt: skip
def test_what_cannot_be_brought_is_refused_by_path(entry: Entry, words: str) -> None:
    assert words in said(entry)


@pytest.mark.parametrize(
    "entry",
    [
        file("src/shop/node_modules/__init__.py"),
        file("build/x.py"),
        file("__pycache__"),
        file("A"),  # beside `a`: the containers' file systems tell them apart
        file("docs/größe und mehr.md"),
        file("-rf"),
        file("b c/*?[x].txt"),
        file(".gitignore"),
        file("x.github/.gitkeep"),
        file("run.sh", mode=sources.PROGRAM),
        file("old.sh", mode="100664"),
        file("libfoo.so.1"),
        file(
            "docs/lfs.md",
            b"A pointer begins with:\nversion https://git-lfs.github.com/spec/v1\noid sha256:7\n",
        ),
        file("empty"),
        link("b/c", "../a"),
        link("b/c", ".."),
        link("b", "nothing-yet"),
        link("b", "./a/"),
    ],
)
def test_what_is_odd_but_whole_is_brought(entry: Entry) -> None:
    assert said(entry) == ""


def test_a_chain_of_links_that_each_stay_within_may_still_lead_out() -> None:
    out = link("out", "deep/../x")
    assert sources.misleading([link("deep", "b/c"), out]) == []
    assert sources.led_to("out", {"deep": "b/c", "out": "deep/../x"}) == "b/x"
    assert "out is a link that leads out" in sources.misleading([link("deep", "."), out])[0].message


def test_bounds_hold_for_all_files_together() -> None:
    many = [file(str(n), size=30_000) for n in range(sources.FILES_MOST + 1)]
    messages = [one.message for one in sources.misshapen(many)]
    assert messages == [
        f"the commit holds {len(many)} files, and may hold {sources.FILES_MOST}",
        f"the commit's files have {len(many) * 30_000} bytes, and may have {sources.ALL_MOST}",
    ]
    assert sources.misshapen(many[1:]) != []  # still too many bytes
    assert [one.message for one in sources.misshapen([])] == ["the commit holds no file"]


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("requirements.txt", "name the file itself in the catalog: requirements/prod.txt"),
        ("locks/prod.txt", "name the file itself in the catalog: requirements/prod.txt"),
        ("twice/prod.txt", "name the file itself in the catalog: requirements/prod.txt"),
        ("requirements/prod.txt", None),
        ("locks2", None),
    ],
)
def test_what_the_catalog_names_is_the_file_itself(path: str, remedy: str | None) -> None:
    links = {"requirements.txt": "requirements/prod.txt", "locks": "requirements", "twice": "locks/"}
    found = sources.through_link(path, links)
    assert (found and found.remedy) == remedy


def test_links_below_a_folder_that_is_copied_by_itself_are_refused() -> None:
    entries = [link("migrations/a.sql", "b.sql"), file("migrations/b.sql"), link("migrations2/a", "b")]
    assert [one.message.split(" is ")[0] for one in sources.below("migrations", entries)] == [
        "migrations/a.sql"
    ]
    assert len(sources.below(".", entries)) == 2


def test_attributes_that_make_a_checkout_another_content_are_refused() -> None:
    found = sources.converted(
        {
            "a.key": {"filter": "git-crypt"},
            "b.ps1": {"working-tree-encoding": "UTF-16LE"},
            "c.ipynb": {"filter": "nbstripout"},
            "d.bin": {"filter": "lfs"},
            "e.txt": {"working-tree-encoding": "utf-8"},
        }
    )
    assert [one.message.split(",")[0] for one in found] == [
        "a.key is encrypted by git-crypt: the commit holds nothing that can be read",
        "b.ps1 is UTF-16LE in a checkout",
    ]


def test_the_first_refusal_leads_and_the_others_follow_bounded() -> None:
    sources.refuse([])
    with pytest.raises(PolicyFailed, match=r"^0 is compiled") as caught:
        sources.refuse([sources.Refusal(f"{n} is compiled", f"n.c-{n}", f"remedy {n}") for n in range(30)])
    assert (caught.value.code, caught.value.remedy) == ("n.c-0", "remedy 0")
    assert len(caught.value.lines) == 21
    assert caught.value.lines[-1] == "… and 9 more"


# as git's bytes are read: no other halves of characters come
NAMES = st.binary(max_size=8).map(lambda raw: raw.replace(b"\0", b"").decode(errors="surrogateescape"))


@given(st.lists(NAMES, min_size=1))
def test_any_name_gives_words_that_can_be_stored(names: list[str]) -> None:
    for entry in (file("/".join(names)), link("x", "/".join(names))):
        said(entry).encode()


LINKS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d/e", "d/f", "d/g/h"]),
    st.lists(st.sampled_from(["..", ".", "", "a", "b", "c", "d", "e", "f", "g", "h", "x"]), min_size=1, max_size=6)
    .map("/".join)
    .filter(bool),
    max_size=6,
)  # fmt: skip


@given(LINKS)
def test_link_that_is_not_refused_leads_where_the_system_says_and_stays_within(links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "outside/repository"
        for path, target in links.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
        for path in links:
            end = sources.led_to(path, links)
            if end:
                assert os.path.realpath(root / path) == os.path.normpath(root / end)


@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=50))
def test_key_of_dependencies_stands_for_each_lock(a: bytes, b: bytes, c: bytes, d: bytes) -> None:
    keys = [sources.dependencies_key("toolbox@sha256:1", locks) for locks in ([a, b], [c, d])]
    assert (keys[0] == keys[1]) == ((a, b) == (c, d))
    assert keys[0] != sources.dependencies_key("toolbox@sha256:2", [a, b])
    proxies = [Packages(container="edge", pypi=f"http://{name}/simple") for name in ("one", "two")]
    others = {sources.dependencies_key("toolbox@sha256:1", [a, b], one) for one in proxies}
    assert len({keys[0], *others}) == 3
