#!/bin/bash
# Trains on Slurm, one task a machine, each of which starts a process for every GPU of its own.
#
#   sbatch --nodes=2 --partition=gpu examples/train_on_slurm.sh --config stage2-60k-im --hub_model_id ORG/NAME
#
# Everything after the script goes to `python -m llavamed_trainer train`. It must be sent from a folder that all
# machines see under the same path, with this Python environment in it or on PATH. A job that is requeued, or sent
# again, goes on from its last whole checkpoint. CONFIG is the layout: fsdp (default), deepspeed_zero3, ddp_multi_node.
#SBATCH --job-name=llavamed-train
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

layout="examples/accelerate/${CONFIG:-fsdp}.yaml"
nodes="${SLURM_NNODES:-1}"
gpus="${SLURM_GPUS_ON_NODE:-8}"
machines="$(scontrol show hostnames "${SLURM_JOB_NODELIST:?send this by sbatch}")"
first="${machines%%$'\n'*}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}"

# the machine's number is known only on the machine: the inner shell reads it there
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c 'exec accelerate launch --machine_rank "$SLURM_NODEID" "$@"' train \
  --config_file "$layout" \
  --num_machines "$nodes" \
  --num_processes "$((nodes * gpus))" \
  --main_process_ip "$first" \
  --main_process_port "${PORT:-29500}" \
  --rdzv_backend static \
  -m llavamed_trainer train "$@"
