"""Runs the playbook of a config repository, and tells what came of it."""

DONE, FAULT, TROUBLE = 0, 1, 3


class Fault(Exception):
    """What the playbook and its files are to blame for."""


class Trouble(Exception):
    """What keeps a playbook from being judged: the cluster, the platform, or Ansible itself."""
