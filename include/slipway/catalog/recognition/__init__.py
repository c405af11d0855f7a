"""What a repository says about its service, as far as the catalog asks: each guess with the file that caused it.

Pure: what is looked into is a mapping of paths to texts. Where two answers are possible both are given, and nothing is chosen.
"""

from slipway.catalog.recognition.entry import entry
from slipway.catalog.recognition.findings import Choice, Files, Found, Guess
from slipway.catalog.recognition.manifests import deployment
from slipway.catalog.recognition.node import node
from slipway.catalog.recognition.python import python
from slipway.catalog.recognition.stacks import STACKS, Stack, recognised

__all__ = [
    "STACKS",
    "Choice",
    "Files",
    "Found",
    "Guess",
    "Stack",
    "deployment",
    "entry",
    "node",
    "python",
    "recognised",
]
