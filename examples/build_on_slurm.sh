#!/bin/bash
# Builds datasets on a Slurm cluster: articles and images are read by job arrays, everything else here.
#
#   PARTITION=cpu SOURCE=pmc-cloud examples/build_on_slurm.sh 60k-im
#
# Run it on a login node (in tmux, or by sbatch as one long job) and in a folder that all nodes see under the same
# path; this Python environment must be seen by them, too. A rerun of the same command goes on where it ended.
# Any other long option of sbatch is a further --slurm KEY=VALUE: account=…, qos=…, constraint=….
set -euo pipefail

python -m llavamed_data build "${@:-60k-im}" \
  --source "${SOURCE:-sample}" \
  --work "${WORK:-.llavamed}" \
  --out "${OUT:-llava-med}" \
  --engine slurm \
  --workers "${JOBS:-32}" \
  --slurm time="${TIME:-04:00:00}" \
  --slurm mem-per-cpu="${MEMORY:-2G}" \
  ${PARTITION:+--slurm partition="$PARTITION"}
