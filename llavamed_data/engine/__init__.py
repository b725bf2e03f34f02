"""Runs tasks on this machine, on a Ray cluster or under Slurm; the output is the same on all of them."""
