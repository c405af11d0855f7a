"""The Kubernetes cluster: server-side apply, the truth about a rollout, short-lived Secrets, requests through the API server."""

from slipway.adapters.cluster.adopting import Adoption, adopt, adoptable
from slipway.adapters.cluster.objects import Difference, apply, difference
from slipway.adapters.cluster.of_runs import (
    Kept,
    OfRun,
    delete,
    kept,
    of_runs,
    own,
    put_config_map,
    put_secret,
    running_pods,
)
from slipway.adapters.cluster.pruning import Item, Stale, prunable, prune
from slipway.adapters.cluster.refusals import explained
from slipway.adapters.cluster.rollouts import Rollout, cannot_start, get, rollout

__all__ = [
    "Adoption",
    "Difference",
    "Item",
    "Kept",
    "OfRun",
    "Rollout",
    "Stale",
    "adopt",
    "adoptable",
    "apply",
    "cannot_start",
    "delete",
    "difference",
    "explained",
    "get",
    "kept",
    "of_runs",
    "own",
    "prunable",
    "prune",
    "put_config_map",
    "put_secret",
    "rollout",
    "running_pods",
]
