"""An upgrade in the middle of a release: it changes nothing in it, or ends it with words that say so."""

from __future__ import annotations

from enum import StrEnum

from slipway.errors import Permanent, PolicyFailed, SlipwayError, Superseded, Unchanged


class Effect(StrEnum):
    """What an upgrade has to do with how a stage went wrong."""

    NONE = "none"
    """Nothing: it is the same Slipway, or it is the service's own fault."""
    TOLD = "told"
    """Perhaps: the error stands as it is, and says that another Slipway began the release."""
    ENDS = "ends"
    """It is the cause: what the other Slipway has left is not what this one reads."""


_NOT_AS_EXPECTED = (LookupError, TypeError, AttributeError, AssertionError)
"""What Python says of a value that has another shape than the code that reads it takes for granted."""


def effect(error: BaseException, begun: str | None, now: str) -> Effect:
    """Tell what an upgrade has to do with ``error``.

    :param begun: version of Slipway that began the release; None is one that did not say.
    :param now: version that runs the stage.
    """
    if begun == now or isinstance(error, (PolicyFailed, Superseded, Unchanged)):
        return Effect.NONE
    if isinstance(error, SlipwayError):
        return Effect.TOLD
    return Effect.ENDS if isinstance(error, _NOT_AS_EXPECTED) else Effect.NONE


def explained(error: BaseException, begun: str | None, now: str) -> SlipwayError | None:
    """Give the error that says so where an upgrade has to do with ``error``; None where it has not.

    One of ours stays what it is, with one more way to go on.
    """
    match effect(error, begun, now):
        case Effect.TOLD:
            assert isinstance(error, SlipwayError)
            also = f"; this release was begun by {_named(begun)}, and this is {now}: if that does not mend it, {_ANEW}"
            error.remedy = (error.remedy.removesuffix(".") or "see the task's log") + also
            return error
        case Effect.ENDS:
            return Permanent(
                f"this release was begun by {_named(begun)}, and this is {now}, which cannot read what was left: "
                f"{type(error).__name__}: {error}",
                code="release.begun-by-another-version",
                remedy=_ANEW,
            )
    return None


_ANEW = (
    "clear this run's task `accept` with downstream, or push again: the release then is of one version alone"
)


def _named(begun: str | None) -> str:
    return f"Slipway {begun}" if begun else "an earlier Slipway"
