"""What the engines that start Slurm jobs ask of a user's sbatch options."""

import shutil
from collections.abc import Collection, Mapping

from llavamed_data.errors import UsageError


def check_sbatch(options: Mapping[str, str], reserved: Collection[str], chooser: str) -> None:
    """Refuses options that the engine itself sets, and machines without sbatch.

    Args:
        options: long options of sbatch without dashes → value.
        reserved: those that the engine sets.
        chooser: who sets them, for the message.

    Raises:
        UsageError: an option is reserved, or there is no sbatch on the PATH.
    """
    if taken := sorted(set(reserved) & options.keys()):
        raise UsageError(f"--slurm {taken[0]} cannot be set: the {chooser} chooses it")
    if shutil.which("sbatch") is None:
        raise UsageError("--engine slurm needs sbatch on the PATH: run it on a login node of a Slurm cluster")
