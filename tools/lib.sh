# Shared pieces of the scripts in this folder: sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# One line a step, on standard error: standard output belongs to what is run.
say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The lines of comment at the top of a script are its help.
show_help() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$1"; }

# Runs a command with its output kept aside, shown only when it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] || tail -n 40 "$log" >&2
  rm -f "$log"
  return "$status"
}

# "seconds since $1" in words.
elapsed() {
  local seconds=$((SECONDS - $1))
  printf '%dm%02ds' $((seconds / 60)) $((seconds % 60))
}

# Go, Maven, pip and rustup all look for a home directory; some fail on an empty one.
settle_home() {
  [ -n "${HOME:-}" ] && [ -d "$HOME" ] && return
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6) || true
  [ -n "${HOME:-}" ] && [ -d "$HOME" ] || die "no home directory: set HOME to a directory that can be written"
  export HOME
}

# Where things obtained are kept, outside the checkout so that later runs and other checkouts find them.
settle_tools_dir() {
  tools_dir=${QUIPU_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/quipu}
  mkdir -p "$tools_dir" || die "cannot make $tools_dir: set QUIPU_TOOLS_DIR to a directory that can be written"
  tools_dir=$(cd "$tools_dir" && pwd)
}

# Programs end up in target/ of the checkout, whatever cargo's own configuration says.
settle_target_dir() {
  local dir=${CARGO_TARGET_DIR:-$root/target}
  mkdir -p "$dir"
  CARGO_TARGET_DIR=$(cd "$dir" && pwd)
  export CARGO_TARGET_DIR
}

# True when version $1 is $2 or later.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

settle_rust() {
  local need found
  have cargo || PATH=$PATH:$HOME/.cargo/bin
  have cargo || die "cargo is not on PATH: install Rust first"
  need=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
  found=$(rustc -V | cut -d' ' -f2)
  at_least "$found" "$need" || die "Rust $need or later is needed, this is $found"
  rust_host=$(rustc -vV | sed -n 's/^host: //p')
}

# What every script that obtains or builds something calls first.
settle() {
  settle_home
  settle_tools_dir
  settle_target_dir
  settle_rust
  cd "$root" || die "cannot enter $root"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

can_install_debian() { have apt-get && as_root true 2>/dev/null; }

# dpkg refuses to work without the sbin directories on PATH.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" \
    apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

# Installs Debian packages; false, with a word of why, when that cannot be done here.
install_debian() {
  can_install_debian || return 1
  if [ -z "${debian_lists_fresh:-}" ]; then
    say "updating the list of Debian packages"
    quietly apt_get update || return 1
    debian_lists_fresh=1
  fi
  say "installing from Debian: $*"
  quietly apt_get install -y --no-install-recommends "$@"
}

# A C compiler links every Rust program; some dependencies compile a little C.
obtain_compiler() {
  have cc && have c++ && return
  install_debian gcc g++ libc6-dev ca-certificates ||
    die "no C and C++ compiler (cc, c++), and Debian's cannot be installed here: install one first"
}

# Installs the package $1, at the version and hashes kept in python.txt, into the directory $2.
install_python() {
  local name=$1 dir=$2 new
  have python3 && python3 -m pip --version >/dev/null 2>&1 ||
    install_debian python3 python3-pip ca-certificates || return 1
  say "installing from the Python package index: $name"
  new=$(mktemp -d "$tools_dir/new.XXXXXX")
  grep "^$name==" "$root/tools/python.txt" >"$new/requirements"
  if quietly python3 -m pip install --quiet --no-deps --no-compile --disable-pip-version-check \
    --require-hashes --only-binary=:all: --target "$new/tree" -r "$new/requirements"; then
    rm -rf "$dir"
    mv "$new/tree" "$dir"
    rm -rf "$new"
  else
    rm -rf "$new"
    return 1
  fi
}

# The version pinned in python.txt.
python_version() { sed -n "s/^$1==\([^ ]*\) .*/\1/p" "$root/tools/python.txt"; }
