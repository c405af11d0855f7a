"""The Kubernetes cluster: server-side apply, the truth about a rollout, short-lived Secrets, requests through the API server."""

from slipway.adapters.cluster.adopting import Adoption, adopt, adoptable
from slipway.adapters.cluster.objects import Difference, apply, difference
from slipway.adapters.cluster.obstacles import Cause, Obstacle, of_end
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
from slipway.adapters.cluster.rollouts import Rollout, get, keeps, rollout

__all__ = [
    "Adoption",
    "Cause",
    "Difference",
    "Item",
    "Kept",
    "Obstacle",
    "OfRun",
    "Rollout",
    "Stale",
    "adopt",
    "adoptable",
    "apply",
    "delete",
    "difference",
    "explained",
    "get",
    "keeps",
    "kept",
    "of_end",
    "of_runs",
    "own",
    "prunable",
    "prune",
    "put_config_map",
    "put_secret",
    "rollout",
    "running_pods",
]
