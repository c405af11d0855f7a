"""What a repository says about its service, as far as the catalog asks: each guess with the file that caused it.

Pure: what is looked into is a mapping of paths to texts. Where two answers are possible both are given, and nothing is chosen.
"""

from slipway.catalog.recognition.entry import entry
from slipway.catalog.recognition.findings import Choice, Files, Found, Guess
from slipway.catalog.recognition.manifests import deployment
from slipway.catalog.recognition.python import python

__all__ = ["Choice", "Files", "Found", "Guess", "deployment", "entry", "python"]
