"""The gate scripts' own modules are tried where they lie; in the image they are in /opt/slipway/lib."""

import sys
from pathlib import Path

IMAGES = Path(__file__).parents[3] / "toolboxes"
sys.path += [
    str(IMAGES / path)
    for path in (
        "shared/gate",
        "shared/stack",
        "toolbox-python/lib",
        "toolbox-node/lib",
        "shared/maven",
        "toolbox-go/lib",
        "toolbox-java/lib",
        "toolbox-scan/lib",
        "toolbox-migrations/lib",
    )
]
