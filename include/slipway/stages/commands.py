"""What a stage of build or test runs: the catalog's command, or the stack's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slipway.release.gates import command
from slipway.stages.container import toolbox
from slipway.stages.stage import Container, Group

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.catalog.service import Commanded


def gate(
    group: Group,
    id_: str,
    title: str,
    *,
    arguments: Callable[[Service], Sequence[str]] = lambda service: (),
    options: Callable[[Service], Mapping[str, Any]] = lambda service: {},
    **more: Any,
) -> Container:
    """Give a stage of build or test, in the bounds and with the command that the catalog gives it; none if it is left out.

    :param group: whose id, and ``id_``, are the words of the catalog. :param arguments: of the stack's own program.
    :param options: what else its container is to be told; the catalog's variables go before what it says.
    """

    def said(service: Service) -> Commanded:
        found: Commanded = getattr(getattr(service, group.id), id_)
        return found

    def told(service: Service) -> dict[str, Any]:
        further = {"policy": "", **options(service)}
        variables = {**further.pop("environment", {}), **said(service).environment}
        return {**further, "environment": variables} if variables else further

    return Container(
        id=id_,
        title=title,
        group=group,
        wanted=lambda service: said(service).left_out is None,
        image=lambda service: toolbox(service.toolbox),
        command=lambda service: command(id_, said(service), *arguments(service)),
        timeout_s=lambda service: said(service).timeout_s,
        options=told,
        **more,
    )
