#!/bin/bash
# Two machines with two ranks each: sbatch deploy/slurm.sh [FURTHER FLAGS OF peft fit]
# The folder, the model and Node.js are on a file system that all machines share.
#SBATCH --job-name=peft
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --signal=USR2@120

# Two minutes before its time is over Slurm sends USR2: all ranks stop with a checkpoint, and the
# same script goes on from it. Slurm sends it to every process of a rank, and npx would end by it.
if [ -d out/checkpoints ]; then resume=--resume; fi
srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  node_modules/.bin/peft fit train.tsv --label topic --model ./model --method lora --output out $resume "$@"
