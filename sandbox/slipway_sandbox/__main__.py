"""`python -m slipway_sandbox`: the sandbox's commands without the rest of `slipway`."""

from slipway_sandbox.cli import sandbox

sandbox(prog_name="slipway sandbox")
