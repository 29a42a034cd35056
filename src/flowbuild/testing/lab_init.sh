#!/usr/bin/env bash
# First process of a machine of the laboratory (testing/lab.py), or of the switch between them; ends with its standard input.
#
#   lab_init.sh node FOLDER NAME ADDRESS         in net, mount, pid, uts and ipc namespaces of its own
#   lab_init.sh switch FOLDER ADDRESS CGROUP     in a net namespace of its own; at its end it removes what the laboratory left
#
# Whoever made the laboratory holds the other ends of these inputs: when that process dies, in whatever way, all goes.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
role=$1 folder=$2
shift 2

# A machine of its own: what runs here, its network, and an empty /run, so that the engine's socket is where it is everywhere.
# The new /sys would hide the control groups, so they are carried over.
settle() {
  mount -t proc proc /proc
  mkdir -p "$folder/cgroup"
  mount --rbind /sys/fs/cgroup "$folder/cgroup"
  mount -t sysfs sysfs /sys
  mount --rbind "$folder/cgroup" /sys/fs/cgroup
  umount --lazy "$folder/cgroup"
  mount -t tmpfs -o mode=755 tmpfs /run
  [ ! -d /etc/docker ] || mount -t tmpfs tmpfs /etc/docker # settings of this machine's engine, and who that is
  hostname "$1"
}

start_containerd() {
  cat >"$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd/containerd.sock"
TOML
  containerd --config "$folder/containerd.toml" >>"$folder/containerd.log" 2>&1 </dev/null &
  until [ -S /run/containerd/containerd.sock ]; do sleep 0.05; done # nothing tells that a socket will exist
}

# Without a registry there is nothing to ask before each task: an image that is here is the one.
start_engine() {
  rm -f /run/docker.pid
  env NOTIFY_SOCKET="$folder/ready" DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1 HOME="$folder" \
    dockerd --config-file "$folder/daemon.json" >>"$folder/dockerd.log" 2>&1 </dev/null &
  engine=$!
}

node() {
  local name=$1 address=$2 engine=
  settle "$name"
  echo "$name is there"
  while read -r order; do
    case $order in
      wired)
        ip link set lo up
        ip address add "$address/24" dev eth0
        ip link set eth0 up
        start_containerd
        ;;
      start) start_engine ;;
      kill)
        kill -KILL "$engine"
        wait "$engine" || true
        ;;
    esac
    echo "$order"
  done
}

switch() {
  local address=$1 cgroup=$2 tries node
  ip link set lo up
  ip link add bridge0 type bridge mcast_snooping 0
  ip address add "$address/24" dev bridge0
  ip link set bridge0 up
  echo "the switch is there"
  while read -r _; do :; done
  # The machines get their end of input at the same time; their last processes go a moment later.
  for ((tries = 0; tries < 200; tries++)); do
    remove_groups "$cgroup" && break
    sleep 0.05
  done
  for node in "$folder"/*; do rm -rf "$node" & done # each has thousands of files
  wait
  rm -rf "$folder"
}

# Control groups of all hierarchies, or of the one; not as long as there is a process in them.
remove_groups() {
  local group status=0
  for group in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || status=1
  done
  return $status
}

"$role" "$@"
