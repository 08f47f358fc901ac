#!/bin/bash
# The service as one job of a Slurm cluster: `sbatch docker/slurm.sh`, with gtn-nas on the PATH. What the job needs
# is changed here or given to sbatch (`--nodes=4`). docs/cluster.md says how to reach it and how it goes on.
#SBATCH --job-name=gtn-nas
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --dependency=singleton
set -euo pipefail

# A folder that all nodes see and nobody else does: database, checkpoints, weights, and Ray's token.
export GTN_NAS_DATA_DIR=${GTN_NAS_DATA_DIR:-$HOME/gtn-nas}
umask 077
mkdir -p "$GTN_NAS_DATA_DIR"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$GTN_NAS_DATA_DIR/ray_token
[ -s "$RAY_AUTH_TOKEN_PATH" ] || od -An -tx1 -N32 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"
# The paths of Ray's sockets must be short, and a job's own temporary folder often has a long one.
export RAY_TMPDIR=${RAY_TMPDIR:-/tmp}

# Searches are Ray Jobs of the first node, beside controller and database; trainings are left to the worker there.
export GTN_NAS_RAY_JOBS_URL=http://127.0.0.1:8265 GTN_NAS_MAX_RUNNING_TRAININGS=0
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Ray would count all processors of a node, also those that are not the job's.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$first:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --disable-usage-stats -- gtn-nas up
