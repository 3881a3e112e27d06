#!/bin/bash
# A Slurm of this machine alone, for trying scripts: needs root, and of Debian slurm-wlm and munge.
#   deploy/slurm-on-loopback.sh start FOLDER   prints where its settings are, as `export SLURM_CONF=…`
#   deploy/slurm-on-loopback.sh stop FOLDER
# All of its files are in FOLDER. It has four places for tasks, whatever the cores.
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n 's/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export SLURM_CONF=$folder/slurm.conf

stop() {
  for name in slurmd slurmctld munged; do
    [ -f "$folder/$name.pid" ] || continue
    pid=$(cat "$folder/$name.pid")
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$folder/$name.pid"
  done
}

start() {
  chmod 755 "$folder"
  mkdir -p "$folder/state" "$folder/spool"
  head -c 1024 /dev/urandom >"$folder/munge.key"
  chmod 400 "$folder/munge.key"
  munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" \
    --log-file="$folder/munged.log" --pid-file="$folder/munged.pid" --seed-file="$folder/munged.seed"
  name=$(hostname -s)
  port=$((20000 + RANDOM % 10000))
  cat >"$SLURM_CONF" <<END
ClusterName=loopback
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 10000))
SlurmUser=root
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=$name NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=$name Default=YES MaxTime=INFINITE State=UP
END
  slurmctld
  slurmd
  for _ in $(seq 300); do
    if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
      echo "export SLURM_CONF=$SLURM_CONF"
      return
    fi
    sleep 0.2
  done
  sinfo >&2 || true
  tail -n 5 "$folder"/*.log >&2
  stop
  exit 1
}

case $1 in
  start) start ;;
  stop) stop ;;
  *)
    echo "slurm-on-loopback: start or stop, not $1" >&2
    exit 2
    ;;
esac
