"""The voice: what is put into the outbox is sent, and a forge that is away holds nobody up."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slipway.catalog import Service
from slipway.catalog.service import Forge, Notice, Source
from slipway.errors import Permanent, Transient
from slipway.ledger import outbox
from slipway.ledger.outbox import Letter
from slipway.release import Status
from slipway.release.voice import Message, Said, Word
from slipway.stages import connections, voice

COMMIT = "a" * 40


@dataclass
class Outside:
    """An outbox and a forge in memory."""

    waiting: list[Letter] = field(default_factory=list)
    did: list[Any] = field(default_factory=list)
    shown: list[Word] = field(default_factory=list)
    error: Exception | None = None
    to: dict[int, str] = field(default_factory=dict)

    # the ledger's outbox
    def say(
        self, _ledger: Any, release: Any, receiver: str, words: Mapping[str, str], *, once: bool = False
    ) -> None:
        words = dict(words)
        self.waiting.append(Letter(len(self.did), release.commit, words, is_repeat=False))
        self.to[id(words)] = receiver
        self.did.append((receiver, once) if once else receiver)

    def next_of(self, _ledger: Any, _service: str, receiver: str) -> Letter | None:
        for one in self.waiting:
            if self.to.get(id(one.words), receiver) == receiver:
                self.waiting.remove(one)
                return one
        return None

    def sent(self, _ledger: Any, id_: int) -> None:
        self.did.append(("sent", id_))

    def failed(self, _ledger: Any, id_: int, why: str) -> None:
        self.did.append(("failed", id_, why))

    def unsent(self, _ledger: Any, _service: str) -> int:
        return len(self.waiting)

    # the world
    def ledger(self) -> Any:
        return None

    def platform(self) -> Any:
        return SimpleNamespace(airflow=SimpleNamespace(url="http://airflow"))

    def statuses(self, _source: Source) -> Outside:
        return self

    # the forge
    def newest(self, commit: str, context: str) -> Word | None:
        assert (commit, context) == (COMMIT, "slipway/staging/web")
        return self.shown[-1] if self.shown else None

    def show(self, commit: str, word: Word) -> None:
        assert commit == COMMIT
        if self.error:
            raise self.error
        self.shown.append(word)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    made = Outside()
    for name in ("say", "next_of", "sent", "failed", "unsent"):
        monkeypatch.setattr(outbox, name, getattr(made, name))
    return made


def service(*, forge: bool = True, notify: tuple[Notice, ...] = ()) -> Service:
    on = Forge(kind="gitea", url="http://forge.example:3000/git") if forge else None
    source = Source(repository="http://forge.example:3000/git/acme/web.git", forge=on)
    return cast("Service", SimpleNamespace(service="web", source=source, notify=notify))


def release(status: Status = Status.PASSED) -> Any:
    return SimpleNamespace(
        service="web", tree=None, environment="staging", status=status, run_id="web.1", commit=COMMIT, stage=None, reason=None,
        superseded_by=None, requested_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


PASSED = Word(
    Said.SUCCESS, "slipway/staging/web", "released and healthy", "http://airflow/slipway/runs/web.1"
)


def test_release_is_told_on_its_commit(outside: Outside) -> None:
    voice.tell(cast("Any", outside), service(), release())
    assert outside.shown == [PASSED]
    assert outside.did == ["gitea:forge.example:http://forge.example:3000/git/acme/web.git", ("sent", 0)]


def test_without_a_forge_nothing_is_put_anywhere(outside: Outside) -> None:
    voice.tell(cast("Any", outside), service(forge=False), release())
    assert outside.did == []


@pytest.mark.parametrize(
    "error", [Transient("away", code="forge.failed"), Permanent("no", code="forge.refused")]
)
def test_forge_that_takes_nothing_holds_nobody_up_and_is_told_later(
    outside: Outside, error: Exception
) -> None:
    outside.error = error
    voice.tell(cast("Any", outside), service(), release())
    assert outside.did[1][:2] == ("failed", 0)
    assert outside.shown == []


def letter(*, is_repeat: bool) -> Letter:
    words = {"said": "success", "context": PASSED.context, "line": PASSED.line, "url": PASSED.url}
    return Letter(7, COMMIT, words, is_repeat=is_repeat)


PENDING = Word(Said.PENDING, "slipway/staging/web", "the release runs", PASSED.url)


@pytest.mark.parametrize(("shown", "times"), [([PASSED], 1), ([], 1), ([PENDING], 2)])
def test_what_may_have_been_sent_is_looked_for_first(outside: Outside, shown: list[Word], times: int) -> None:
    outside.shown, outside.waiting = list(shown), [letter(is_repeat=True)]
    assert voice.send(cast("Any", outside), service()) == 1
    assert len(outside.shown) == times
    assert outside.shown[-1] == PASSED
    assert outside.did == [("sent", 7)]


def test_path_of_a_repository_is_told_without_that_of_the_forge() -> None:
    source = service().source
    assert source.forge
    assert source.forge.path(source.url("http://git.example")) == "acme/web"
    assert source.forge.host == "forge.example"


def test_one_services_forge_that_is_away_keeps_no_other_from_its_own(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def send(_world: Any, one: Service) -> int:
        tried.append(one.service)
        if one.service == "refused":
            raise Permanent("no", code="forge.refused")
        if one.service == "away":
            raise Transient("away", code="forge.failed")
        return 1

    monkeypatch.setattr(voice, "send", send)
    monkeypatch.setattr(connections, "ledger", lambda: None)
    names = ("refused", "away", "well")
    task = voice.SendUnsent(
        task_id="send", services=[cast("Service", SimpleNamespace(service=one, notify=())) for one in names]
    )
    monkeypatch.setattr(voice, "recorded", lambda _context: nullcontext())
    with pytest.raises(Transient):
        task.execute(cast("Any", {}))
    assert tried == list(names)


# --- people ---
SLACK = Notice(on=("failed", "recovered"), by="slack", connection="chat")
HOOK = Notice(on=("failed",), by="webhook", connection="hook")
MAIL = Notice(on=("passed",), by="email", connection="mail", to=("team@example.com",))


@pytest.mark.parametrize(
    ("status", "before", "told"),
    [
        (Status.RUNNING, None, []),
        (Status.FAILED, None, [SLACK, HOOK]),
        (Status.PASSED, None, [MAIL]),
        (Status.PASSED, Status.FAILED, [SLACK, MAIL]),
        (Status.SUPERSEDED, Status.FAILED, []),
    ],
)
def test_who_is_told_is_the_catalogs_to_say(
    status: Status, before: Status | None, told: list[Notice]
) -> None:
    assert voice.due(service(notify=(SLACK, HOOK, MAIL)), status, before) == told


def test_one_receiver_that_is_away_keeps_no_other_from_hearing(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def notify(notice: Notice, _letter: Letter) -> None:
        if notice is SLACK:
            raise Transient("away", code="notice.not-sent")
        heard.append(notice.connection)

    monkeypatch.setattr(voice, "_notify", notify)
    voice.tell(cast("Any", outside), service(notify=(SLACK, HOOK)), release(Status.FAILED))
    assert heard == ["hook"]
    assert [one.said for one in outside.shown] == [Said.FAILURE]
    assert ("slack:chat", True) in outside.did
    assert [one[0] for one in outside.did if isinstance(one[1], int) and not isinstance(one[1], bool)].count(
        "failed"
    ) == 1


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """Whoever takes messages: what was posted, by path. Airflow's connections `chat` and `hook` lead there."""
    posted: list[tuple[str, Any]] = []

    class Front(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
        at = listening.server_port
        chat = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{at}/services", "password": "T/B/x"}
        hook = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": at}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(chat))
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(hook))
        yield posted
        listening.shutdown()


TOLD = Message("failed", "web 0123 failed", "<!channel> {{ 1 + 1 }} & <b>\nhttp://a", "http://a")


def test_slack_and_webhooks_are_told_by_airflows_own_notifiers_word_by_word(
    server: list[tuple[str, Any]],
) -> None:
    for notice in (SLACK, HOOK):
        voice.notifier(notice, TOLD).notify(cast("Any", {}))
    slack, hook = server
    assert slack[0] == "/services/T/B/x"
    assert slack[1]["text"] == "*web 0123 failed*\n&lt;!channel&gt; {{ 1 + 1 }} &amp; &lt;b&gt;\nhttp://a"
    assert hook[1] == {"end": "failed", "title": TOLD.title, "text": TOLD.text, "url": "http://a"}


def test_mail_shows_what_was_said_and_no_markup_of_it() -> None:
    made = voice.notifier(MAIL, TOLD)
    assert made.to == ["team@example.com"]
    assert made.subject == TOLD.title
    assert made.html_content.startswith("<p>&lt;!channel&gt; {{ 1 + 1 }} &amp; &lt;b&gt;<br>")


def test_what_cannot_be_sent_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": 9}))
    monkeypatch.setattr(voice, "get_current_context", dict)
    words = {"end": "failed", "title": "t", "text": "x", "url": "u"}
    with pytest.raises(Transient, match="webhook by connection hook is not sent"):
        voice._notify(HOOK, Letter(1, COMMIT, words, is_repeat=False))
