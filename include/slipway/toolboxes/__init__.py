"""The base and toolbox images: what they are made of, and building them for a registry.

The folder `toolboxes/` of a checkout holds what goes into them; here is how they become images that releases name by
digest. `slipway toolboxes build` does it for a team's registry, the sandbox for its own.
"""
