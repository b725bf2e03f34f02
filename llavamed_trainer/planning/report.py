"""A plan for people."""

from rich.console import Console
from rich.table import Table

from llavamed_trainer.planning.arithmetic import GIGABYTE
from llavamed_trainer.planning.plan import Plan


def render(plan: Plan, console: Console) -> None:
    """One table of the cost, and a line on whether it fits and what the paper took."""
    table = Table(title=f"{plan.recipe} on {plan.gpus} × {plan.gpu.name}", show_header=False)
    for name, value in _lines(plan):
        table.add_row(name, value)
    console.print(table)
    console.print(_fit(plan), soft_wrap=True)
    if plan.paper:
        console.print(
            f"{plan.paper.table}: {plan.paper.hours} h on eight A100 with a 7B model of 224 px and all rows, "
            f"{plan.paper.utilisation:.0%} of their peak by the same count; so used, this plan would take "
            f"{plan.hours * plan.utilisation / plan.paper.utilisation:.2g} h.",
            soft_wrap=True,
        )


def _lines(plan: Plan) -> list[tuple[str, str]]:
    memory = plan.memory
    parts = (
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("AdamW", memory.optimizer),
        ("gathered", memory.gathered),
        ("activations", memory.activations),
        ("reserve", memory.reserve),
    )
    return [
        (
            "model",
            f"{plan.model}: {plan.parameters / 1e9:.2f} billion parameters, {_share(plan.trained)} learn",
        ),
        ("rows", f"{plan.data.rows:,} × {plan.epochs:g} epochs ({plan.data.source})"),
        ("tokens a row", f"{plan.row_tokens:,}, {plan.row_tokens - plan.data.text_tokens:,} of the image"),
        (
            "step",
            f"{plan.batch} rows × {plan.gpus} GPUs × {plan.accumulated} = {plan.batch * plan.gpus * plan.accumulated}",
        ),
        ("steps", f"{plan.steps:,}"),
        ("tokens", f"{plan.tokens:,}"),
        ("operations", f"{plan.operations:.3g}"),
        ("memory a GPU", f"{memory.total / GIGABYTE:.1f} GB of {plan.gpu.gigabytes:g}"),
        ("", ", ".join(f"{name} {size / GIGABYTE:.1f}" for name, size in parts)),
        ("hours", f"{plan.hours:.2f} at {plan.utilisation:.0%} of {plan.gpu.tflops:g} TFLOP/s a GPU"),
    ]


def _share(trained: int) -> str:
    return f"{trained / 1e9:.2f} billion" if trained > 1e9 else f"{trained / 1e6:.1f} million"


def _fit(plan: Plan) -> str:
    if plan.fits:
        return "It fits, sharded over all GPUs (FSDP); without sharding each GPU holds the whole model."
    return (
        "It does not fit: take more GPUs, a smaller per_device_train_batch_size, or LoRA (--lora 64 here, "
        "--use_peft for train)."
    )
