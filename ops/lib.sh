# Shared by ops/demo, ops/test and ops/bench: packages and the build. Sourced, not run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -t 2 ]; then bold=$'\e[1m'; dim=$'\e[2m'; red=$'\e[31m'; plain=$'\e[0m'; else bold=; dim=; red=; plain=; fi
say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
die() { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    die "installing packages needs root: run this as root or install sudo"
  fi
}

# Installs what ops/packages.txt names and the machine lacks; asks dpkg first, so a second run costs nothing.
install_packages() {
  local wanted missing=()
  wanted=$(sed 's/#.*//' "$root/ops/packages.txt" | xargs)
  local package
  for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root apt-get update -qq || die "apt-get update failed: is the network up?"
  # The packaged PostgreSQL would start a cluster of its own; Quarry makes private ones.
  as_root mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${missing[@]}" >&2 || die "apt-get could not install: ${missing[*]}"
}

# build_quarry PRESET TARGET...: configures once, then builds with ninja's own progress line.
build_quarry() {
  local preset=$1
  shift
  cd "$root"
  if [ ! -f "build/$preset/build.ninja" ]; then
    say "configuring ($preset)"
    local output
    output=$(cmake --preset "$preset" 2>&1) || { printf '%s\n' "$output" >&2; die "cmake failed"; }
  fi
  say "building ($preset)"
  NINJA_STATUS='  [%f/%t %es] ' cmake --build "build/$preset" --target "$@" >&2 || die "the build failed"
}
