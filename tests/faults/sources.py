"""What a repository may not hold: refused at `checkout`, once, by path, before anything is built or judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from faults.case import Case, Seen, Wanted
from faults.scene import Scene
from slipway.release import run_id
from slipway_sandbox.project import NAME

SECTION = "service"
PACKAGE = "src/ai_generation"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{7:064d}\nsize 52428800\n"


def planted(mode: str, path: str, text: str = "", *, instead: str | None = None) -> Callable[[Scene], Seen]:
    """Give the act that pushes the example with an entry that is no ordinary file.

    :param mode: as git writes it.
    :param text: of a link where it leads; of a submodule nothing: it is of the commit before.
    :param instead: where the file that the example has at `path` goes to.
    """

    def act(scene: Scene) -> Seen:
        clone, project = scene.project.clone, scene.project
        with scene.pushing, tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            project.commit("Break it on purpose")
            file.write(text)
            file.flush()
            blob = clone.head() if mode == "160000" else clone.git("hash-object", "-w", file.name)
            if instead:
                (project.folder / instead).parent.mkdir(parents=True, exist_ok=True)
                (project.folder / path).rename(project.folder / instead)
                clone.git("add", "--all")
            clone.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
            clone.git("commit", "--quiet", "--amend", "--no-edit")
            commit = clone.head()
            clone.push()
        return scene.wait(run_id(NAME, commit))

    return act


def _pushed(files: dict[str, str]) -> Callable[[Scene], Seen]:
    return lambda scene: scene.push("Break it on purpose", files=files)


CASES = tuple(
    Case(name, SECTION, title, Wanted("checkout", "failed", message), act)
    for name, title, message, act in (
        ("link-out", "a link to what lies beside the clone",
         r"^data is a link that leads out of the repository: to \.\./\.\./shared-data$",
         planted("120000", "data", "../../shared-data")),
        ("linked-lock", "a lock that is a link to another file",
         r"^requirements\.txt is read by its path, but requirements\.txt is a link to requirements/prod\.txt$",
         planted("120000", "requirements.txt", "requirements/prod.txt", instead="requirements/prod.txt")),
        ("submodule", "common code in a submodule", rf"^{PACKAGE}/common is a submodule: ",
         planted("160000", f"{PACKAGE}/common")),
        ("lfs", "a model in Git LFS", rf"^{PACKAGE}/model\.bin is in Git LFS: ",
         _pushed({f"{PACKAGE}/model.bin": POINTER})),
        ("bytecode", "code in a folder that tools make", rf"^{PACKAGE}/__pycache__/run\.py is in a folder __pycache__",
         planted("100644", f"{PACKAGE}/__pycache__/run.py", "import os\n")),
        ("compiled", "a compiled module", rf"^{PACKAGE}/fast\.so is compiled: ", _pushed({f"{PACKAGE}/fast.so": "\x7fELF"})),
    )
)  # fmt: skip
