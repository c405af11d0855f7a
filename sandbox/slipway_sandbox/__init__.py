"""The sandbox: every part that Slipway works with, run for real on one Debian 12 machine."""
