#!/bin/bash
# Network namespaces 10.77.0.1 … N on one bridge, each link shaped in both directions; needs root.
#   network.sh up RANKS RATE DELAY    prints `delayed` where the kernel has netem, else `shaped`
#   network.sh down RANKS
#   network.sh in ADDRESS COMMAND …   as mpirun calls what starts its daemon on a machine
set -euo pipefail

shape() { # of a namespace (- for none), a device, the rate, the delay
  local tc=tc
  [ "$1" = - ] || tc="tc -n $1"
  if $tc qdisc add dev "$2" root netem rate "$3" delay "$4" limit 20000 2>/dev/null; then
    echo delayed
  else
    $tc qdisc add dev "$2" root tbf rate "$3" burst 256kb latency 100ms
    echo shaped
  fi
}

case $1 in
  up)
    ip link add peft0 type bridge
    ip addr add 10.77.0.254/24 dev peft0
    ip link set peft0 up
    for rank in $(seq "$2"); do
      ip netns add "peft-$rank"
      ip link add "peft-v$rank" type veth peer name eth0 netns "peft-$rank"
      ip link set "peft-v$rank" master peft0 up
      ip -n "peft-$rank" addr add "10.77.0.$rank/24" dev eth0
      ip -n "peft-$rank" link set lo up
      ip -n "peft-$rank" link set eth0 up
      shape "peft-$rank" eth0 "$3" "$4"
      # a message waits on one side of a link
      shape - "peft-v$rank" "$3" 0ms
    done | sort -u | head -n 1
    ;;
  down)
    for rank in $(seq "$2"); do ip netns del "peft-$rank" 2>/dev/null || true; done
    ip link del peft0 2>/dev/null || true
    ;;
  in)
    # a host name of its own, or Open MPI takes all for one machine
    exec ip netns exec "peft-${2##*.}" unshare --uts \
      bash -c 'hostname "$1"; shift; eval "$*"' in "rank-${2##*.}" "${@:3}"
    ;;
esac
