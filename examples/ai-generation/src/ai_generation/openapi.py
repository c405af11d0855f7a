"""Print the OpenAPI description: `python3 -m ai_generation.openapi > openapi.json`. Needs no database."""

import json
import sys

from ai_generation.app import create_app
from ai_generation.settings import Settings


def main() -> None:
    """Write the description to standard output, in a stable order."""
    json.dump(create_app(Settings()).openapi(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
