"""The voice: how a release goes is put into the outbox, and sent from there: to the forge, which shows it, and to people.

Who puts it there sends it at once, and is not held up by a forge that is away: the DAG `reconcile` sends what is left.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, get_current_context

from slipway.errors import SlipwayError, Transient
from slipway.ledger import outbox
from slipway.release import Status, advice
from slipway.release.voice import Message, Said, Word, end_of, message, word
from slipway.stages import connections
from slipway.stages.outcome import recorded
from slipway.unreachable import why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.catalog.service import Notice
    from slipway.ledger import Ledger, Release
    from slipway.stages.world import World

log = logging.getLogger(__name__)
MOST = 200
"""Things that one task sends of a service to one receiver."""
SEND_S = 10


def tell(world: World, service: Service, release: Release, before: Status | None = None) -> None:
    """Put on record how a release is, for its forge and, once it has ended, for people; and send what is due.

    :param before: how the release before it ended.
    """
    ledger = world.ledger()
    if service.source.forge:
        said = word(
            service=release.service,
            environment=release.environment,
            status=release.status,
            run_id=release.run_id,
            airflow=world.platform().airflow.url,
            stage=release.stage,
            reason=release.reason,
            superseded_by=release.superseded_by,
        )
        outbox.say(ledger, release, forge_of(service), _words(said))
    notices = due(service, release.status, before)
    if notices:
        told = asdict(_message(world, service, release, before))
        for notice in notices:
            outbox.say(ledger, release, receiver(notice), told, once=True)
    if service.source.forge or notices:
        try:
            send(world, service)
        except SlipwayError as e:
            log.warning("somebody is told later: %s", e)


def forge_of(service: Service) -> str:
    """Give the name of what shows the statuses of a service's commits; the catalog must name a forge."""
    forge = service.source.forge
    assert forge is not None
    return f"{forge.kind}:{forge.host}:{service.source.repository}"


def receiver(notice: Notice) -> str:
    """Give the name of who gets a notice."""
    return ":".join((notice.by, notice.connection, *notice.to))


def due(service: Service, status: Status, before: Status | None) -> list[Notice]:
    """Give whom a release's end is to be told, by the catalog."""
    if status is Status.RUNNING:
        return []
    ends = {status.value, end_of(status, before)}
    return [one for one in service.notify if ends & set(one.on)]


def _words(said: Word) -> dict[str, str]:
    return {"said": said.said.value, "context": said.context, "line": said.line, "url": said.url}


def _message(world: World, service: Service, release: Release, before: Status | None) -> Message:
    subject = ""
    if release.tree is not None:  # the commit was there
        commit = world.repository(service.source).commit(release.commit)
        subject = f"{commit.subject} ({commit.author})"
    return message(
        service=release.service,
        environment=release.environment,
        commit=release.commit,
        end=end_of(release.status, before),
        url=f"{world.platform().airflow.url.rstrip('/')}/slipway/runs/{release.run_id}",
        subject=subject,
        stage=release.stage,
        reason=release.reason,
        steps=advice(release.service, release.commit, release.status, release.stage, release.superseded_by),
    )


def send(world: World, service: Service) -> int:
    """Send what is due of a service, to each receiver in order; give how much that was.

    :raises SlipwayError: the first of what was not taken, once everybody was tried; it stays on record, and is due again after a
        pause.
    """
    failed: list[SlipwayError] = []
    number = 0
    ways: dict[str, Callable[[outbox.Letter], None]] = {
        receiver(one): partial(_notify, one) for one in service.notify
    }
    if service.source.forge:
        ways[forge_of(service)] = partial(_show, world, service)
    for name, way in ways.items():
        try:
            number += _send(world.ledger(), service.service, name, way)
        except SlipwayError as e:
            failed.append(e)
    if failed:
        # one that another try may mend comes first: the others wait for somebody
        raise min(failed, key=lambda one: not isinstance(one, Transient))
    return number


def _send(ledger: Ledger, service: str, name: str, way: Callable[[outbox.Letter], None]) -> int:
    for number in range(MOST):
        letter = outbox.next_of(ledger, service, name)
        if letter is None:
            return number
        try:
            way(letter)
        except SlipwayError as e:
            outbox.failed(ledger, letter.id, f"{e.code}: {e.message}")
            raise
        outbox.sent(ledger, letter.id)
    return MOST


def _show(world: World, service: Service, letter: outbox.Letter) -> None:
    said = Word(
        Said(letter.words["said"]), letter.words["context"], letter.words["line"], letter.words["url"]
    )
    forge = world.statuses(service.source)
    # who was killed while he sent it could not say whether it had come
    if letter.is_repeat and forge.newest(letter.commit, said.context) == said:
        return
    forge.show(letter.commit, said)
    print(f"status of {letter.commit}: {said.said}: {said.line}")


def _notify(notice: Notice, letter: outbox.Letter) -> None:
    """Tell people, by the notifier of Airflow's provider. Its fields are not rendered: they may hold words of pushed code."""
    try:
        notifier(notice, Message(**letter.words)).notify(get_current_context())
    except Exception as e:  # each provider raises errors of its own and of its client
        raise Transient(
            f"{notice.by} by connection {notice.connection} is not sent: {why(e)}",
            code="notice.not-sent",
            remedy="see that connection in Airflow, and that what it names answers",
        ) from e
    print(f"told by {notice.by} ({notice.connection}): {letter.words['title']}")


def notifier(notice: Notice, told: Message) -> Any:
    """Give the provider's notifier for a notice."""
    if notice.by == "slack":
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

        text = f"*{_escaped(told.title)}*\n{_escaped(told.text)}"
        return SlackWebhookNotifier(slack_webhook_conn_id=notice.connection, text=text, timeout=SEND_S)
    if notice.by == "email":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        body = "<br>\n".join(html.escape(line) for line in told.text.splitlines())
        return SmtpNotifier(
            to=list(notice.to),
            subject=told.title,
            html_content=f"<p>{body}</p>",
            smtp_conn_id=notice.connection,
        )
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(http_conn_id=notice.connection, json=asdict(told), extra_options={"timeout": SEND_S})


def _escaped(text: str) -> str:
    """Give a text as Slack shows it: what a commit says is no link and calls nobody."""
    return html.escape(text, quote=False)


class SendUnsent(BaseOperator):
    """Sends what releases had to say while their forge was away; skips no service for another's forge.

    :param services: those whose catalog names a forge, or somebody to be told.
    """

    def __init__(self, *, services: Sequence[Service], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.services = tuple(services)

    def execute(self, context: Context) -> None:
        """Send it.

        :raises AirflowException: if a forge does not answer: it is tried again. :raises AirflowFailException: if it refuses.
        """
        with recorded(context):
            failures: list[SlipwayError] = []
            for service in self.services:
                try:
                    number = send(connections.Outside(), service)
                except SlipwayError as e:
                    failures.append(e)
                    print(f"{service.service}: {e}")
                else:
                    left = outbox.unsent(connections.ledger(), service.service)
                    print(f"{service.service}: {number} sent, {left} left")
            if failures:
                # one that another try may mend comes first: the others wait for somebody
                raise min(failures, key=lambda one: not isinstance(one, Transient))
