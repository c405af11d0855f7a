#!/bin/bash
# down.sh [--keep-network] STATE_DIR
#
# Takes down what up.sh brought up, and only that: pods first (through the API, so that the CNI plugins and the kubelet
# clean up after themselves), then the processes, then whatever they left (network.sh). With --keep-network the bridge
# stays, so that the sandbox's other parts go on listening on it; `network.sh down STATE_DIR` takes it away later.
# STATE_DIR itself stays (keys, etcd's data, images, logs): up.sh STATE_DIR brings the same cluster back.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); . "$HERE/env.sh"
network=down; [ "${1:-}" != --keep-network ] || { network=sweep; shift; }
[ $# = 1 ] || die "usage: $0 [--keep-network] STATE_DIR"
settle "$1"; t0=$SECONDS
if [ -d "$STATE/run" ]; then
  exec 9>"$STATE/.lock"; flock -w 60 9 || die "another up.sh or down.sh works on $STATE"
  K=("$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig" --cache-dir "$STATE/run/kubectl-cache" --request-timeout 5s)
  tasks() { CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1 "$STATE/bin/ctr" -a "$STATE/containerd/c.sock" -n k8s.io tasks ls -q; }
  # Nothing may replace the pods. The kubelet then sees to it that containers, sandboxes, veths and volumes go.
  stop kube-controller-manager kube-scheduler
  if alive kube-apiserver && alive kubelet && alive containerd; then
    "${K[@]}" delete pods --all -A --grace-period=1 --wait=false >/dev/null 2>&1 || true
    no_pods() { local t; t=$("${K[@]}" get pods -A -o name 2>/dev/null) && [ -z "$t" ] && t=$(tasks) && [ -z "$t" ]; }
    wait_for 45 "pods to go" no_pods || log "going on without the kubelet"
  fi
  stop kubelet kube-proxy coredns containerd kube-apiserver etcd
  forget
fi
"$HERE/network.sh" $network "$STATE" || exit $?
log "down in $((SECONDS - t0))s"
