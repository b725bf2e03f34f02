"""The tables of the page of base models show what the bases state, and what `plan` says that they cost."""

from llavamed_trainer.planning import TrainingPlan, find_gpu, make_plan
from llavamed_trainer.recipes import BASES, find_recipe, load_base
from tests.conftest import CHECKOUT

RECIPE = "stage2-60k-im"


def rows_with(cells: int) -> dict[str, list[str]]:
    """The rows of the table of so many columns, by the base in their first."""
    text = (CHECKOUT / "docs" / "bases.md").read_text(encoding="utf-8")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {row[0].strip("`"): row[1:] for row in table if len(row) == cells and row[0].strip("`") in BASES}


def planned(base: str, gpu: str, *, adapters: bool) -> TrainingPlan:
    recipe = find_recipe(RECIPE, base, adapters=adapters)
    lora = int(recipe.settings["lora_r"]) if adapters else None
    return make_plan(recipe, 1 if adapters else 8, find_gpu(gpu), rows=60_000, lora=lora)


def test_the_table_of_settings_is_what_the_bases_state() -> None:
    own = find_recipe(RECIPE).settings["learning_rate"]
    assert rows_with(6) == {
        base: [
            f"`{stated.model}`",
            f"{stated.full.get('learning_rate', own):.0e}".replace("e-0", "e-"),
            f"{stated.lora['learning_rate']:.0e}".replace("e-0", "e-"),
            f"{stated.lora['lora_r']}, {stated.lora['lora_alpha']}",
            f"`{stated.full['template']}`" if "template" in stated.full else "its own",
        ]
        for base in BASES
        for stated in (load_base(base),)
    }


def test_the_table_of_costs_is_what_plan_says() -> None:
    expected = {}
    for base in BASES:
        full, lora = (planned(base, "a100-40g", adapters=adapters) for adapters in (False, True))
        fast = [planned(base, "h100-80g", adapters=adapters).hours for adapters in (False, True)]
        expected[base] = [
            f"{full.parameters / 1e9:.2f} billion",
            f"{full.row_tokens:,}",
            f"{full.memory.total / 1e9:.0f}",
            f"{full.hours:.1f} h",
            f"{fast[0]:.1f} h",
            f"{lora.memory.total / 1e9:.0f}",
            f"{lora.hours:.1f} h",
            f"{fast[1]:.1f} h",
        ]
    assert rows_with(9) == expected
