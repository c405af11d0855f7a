"""The gate scripts' own modules are tried where they lie; in the image they are in /opt/slipway/lib."""

import sys
from pathlib import Path

IMAGES = Path(__file__).parents[3] / "sandbox/images"
sys.path += [str(IMAGES / "shared/gate"), str(IMAGES / "toolbox-scan/lib")]
