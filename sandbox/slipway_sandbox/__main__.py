"""`python -m slipway_sandbox`: the sandbox's commands without the rest of `slipway`."""

from .cli import sandbox

sandbox(prog_name="slipway sandbox")
