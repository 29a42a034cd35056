# shellcheck shell=bash
# What every script here shares: plain messages, rights, packages. Sourced, never run.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '==> %s\n' "$*" >&2; }
warn() { printf '    %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The values of /etc/os-release without the shell variables of this process being touched.
os() { (. /etc/os-release 2>/dev/null && eval "printf %s \"\${$1:-}\""); }

# Root by itself or by a sudo that asks for nothing; anything else would hang a machine without a person.
may_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }


apt_refresh() {
  [ -n "${FLOW_APT_FRESH:-}" ] || {
    say "refreshing the package lists (apt-get update)"
    quietly as_root apt-get -q update
    export FLOW_APT_FRESH=yes # also for the scripts that this one calls
  }
}

# Show what a command printed only when it failed.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] || { tail -n 30 "$log" >&2; warn "failed with code $status: $*"; }
  rm -f "$log"
  return "$status"
}

# apt_install WHAT PACKAGE...: install the packages, or say which to install and stop. A name may end in /SUITE.
apt_install() {
  local what=$1
  shift
  have apt-get || die "$what is missing and this is not a Debian or Ubuntu machine." "Install by hand: $*"
  may_be_root || die "$what is missing and I may not install it (not root, and sudo asks for a password)." \
    "Run this as root, then start again:" "    apt-get update && apt-get install --no-install-recommends $*"
  apt_refresh
  say "installing $what: $*"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@" ||
    die "apt-get could not install: $*" "Its last lines are above."
}

# The packages of compose v2 here; Debian 12 has none of its own (see scripts/engine).
compose_packages() {
  case "$(os ID):$(os VERSION_CODENAME)" in
    ubuntu:*) echo docker-compose-v2 ;;
    debian:bookworm) echo docker-compose/trixie ;;
    *) echo docker-compose ;;
  esac
}

# The lines of the machine's own apt sources for one release of its distribution, in one-line form: mirrors are kept.
apt_sources() {
  local codename=$1 keyring
  keyring=/usr/share/keyrings/$(os ID)-archive-keyring.gpg
  apt-get indextargets --format "\$(REPO_URI)|\$(RELEASE)|\$(COMPONENT)|\$(ORIGIN)" 'Created-By: Packages' |
    awk -F'|' -v name="$codename" -v signed="$([ ! -f "$keyring" ] || echo "[signed-by=$keyring] ")" \
      'tolower($4) ~ /^(debian|ubuntu)/ && ($2 == name || index($2, name "-") == 1) && !seen[$0]++ {
         print "deb " signed $1, $2, $3 }'
}

# bootstrap TAR PACKAGES [OPTION...]: a minimal Debian or Ubuntu of release $suite, without manuals, from the machine's own apt
# sources. $work is a directory for what is between.
# shellcheck disable=SC2154 # suite and work are of who calls this
bootstrap() {
  local tar=$1 packages=$2 line settings=()
  shift 2
  while read -r line; do settings+=(--aptopt="$line"); done < <(apt-config dump | grep -E '^Acquire::(https?|ftp)::(Proxy|CaInfo)' || true)
  apt_sources "$suite" >"$work/sources.$packages"
  # A release that this machine does not have: from the same mirror.
  [ -s "$work/sources.$packages" ] ||
    apt_sources "$(os VERSION_CODENAME)" | sed -n "s/ $(os VERSION_CODENAME) / $suite /p" >"$work/sources.$packages"
  [ -s "$work/sources.$packages" ] || die "apt has no package lists of $suite on this machine." "Run apt-get update first."
  as_root_or_user mmdebstrap --quiet --variant=minbase --include="$packages" "${settings[@]}" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "$@" "$suite" "$tar" - <"$work/sources.$packages"
}

as_root_or_user() { if may_be_root; then as_root "$@"; else "$@"; fi; }

# setup_machine SCRIPT ARGUMENTS [-- SETUP_OPTIONS]: run scripts/setup; when it changed our groups, start SCRIPT again with them.
setup_machine() {
  local options=$1 status=0
  shift
  # The options are words of our own scripts.
  # shellcheck disable=SC2086
  scripts/setup $options || status=$?
  [ "$status" != 75 ] || [ -n "${FLOW_REGROUPED:-}" ] || FLOW_REGROUPED=yes exec sg docker -c "$(printf '%q ' "$@")"
  [ "$status" = 0 ] || exit "$status"
}
