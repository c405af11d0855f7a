#!/bin/sh
# bootstrap.sh VENV: makes the virtual environment of this checkout from the lock file, and installs the checkout into it.
# Needs Python 3.11 or newer and, for what is missing, root and Debian's packages. May be ended at any moment: what it did
# not bring to its end is made anew the next time.
set -eu
venv=$1
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "bootstrap: $python is missing or older than 3.11; set PYTHON" >&2
  exit 3
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
  echo "bootstrap: installing Debian's python3-venv"
  sh "$here/sandbox/apt.sh" install python3-venv
}
# half a package looks like a whole one to pip and uv: who was ended in the middle left this mark
half=$venv/.half-made
if [ -e "$half" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
  [ ! -e "$half" ] || echo "bootstrap: $venv was not made to its end: making it anew"
  rm -rf "$venv"
  mkdir -p "$venv"
  : >"$half"
  "$python" -m venv "$venv"
fi
: >"$half"
# uv first, by its hashes in the same lock file; then it installs the rest in seconds
[ -x "$venv/bin/uv" ] || {
  sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ *--hash/p}' "$here/requirements-dev.txt" | sed '$s/ \\$//' >"$venv/uv.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$venv/uv.txt"
}
echo "bootstrap: installing $(grep -c '==' "$here/requirements-dev.txt") locked packages into $venv"
UV_LINK_MODE=${UV_LINK_MODE:-hardlink} "$venv/bin/uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes "$here/requirements-dev.txt"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable "$here"
rm "$half"
