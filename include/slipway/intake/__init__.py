"""Intake: a forge's delivery becomes a wish. It decides; the plugin adapts it to HTTP.

A delivery is an authenticated wake-up and no more: which commit is released is asked of git. The order is that of
:mod:`slipway.intake.receiving`: size, signature over the raw body, replay, parse, match, durable row, answer.
"""
