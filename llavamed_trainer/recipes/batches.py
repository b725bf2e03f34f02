"""How a step's rows are divided over processes, batches and accumulation."""

from llavamed_data.errors import UsageError


def accumulation(rows: int, per_device: int, processes: int, *, stated: int | None = None) -> int:
    """Batches that each process accumulates, so that a step takes `rows` rows.

        accumulation(128, 16, 8) == 1
        accumulation(128, 16, 2) == 4

    Args:
        rows: the global batch size.
        per_device: rows of one batch on one process.
        processes: how many there are.
        stated: what the user asked for; it must agree.

    Raises:
        UsageError: the numbers do not divide or do not agree.
    """
    if min(rows, per_device, processes) < 1:
        raise UsageError(
            f"a step takes at least one row: global_batch_size is {rows}, per_device_train_batch_size {per_device}"
        )
    at_once = per_device * processes
    if stated is not None and stated * at_once != rows:
        raise UsageError(
            f"{per_device} rows × {processes} processes × {stated} accumulated batches are {stated * at_once} rows a "
            f"step, global_batch_size is {rows}: give one of them up, gradient_accumulation_steps follows by itself"
        )
    if rows % at_once:
        raise UsageError(
            f"a global batch of {rows} rows does not divide into batches of {per_device} on {processes} "
            f"{'processes' if processes > 1 else 'process'}: {_way_out(rows, per_device, processes)}"
        )
    return rows // at_once


def _way_out(rows: int, per_device: int, processes: int) -> str:
    if rows % processes:
        return f"--global_batch_size must be a multiple of {processes}, such as {-(-rows // processes) * processes}"
    share = rows // processes
    fits = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
    return f"--per_device_train_batch_size {fits} would"
