"""A model card says what was trained on what and what it scored, in the form that the Hub reads."""

from dataclasses import replace

from huggingface_hub import ModelCard as HubCard

from hub_cards import ModelCard, Result, TrainingData, render_model_card

CARD = ModelCard(
    name="llava-med-tiny",
    base_model="llava-hf/llava-1.5-7b-hf",
    recipe="stage2-60k-im",
    source="Table 4",
    settings={"learning_rate": 2e-5, "epochs": 3},
    data=[TrainingData("llava-med/60k-im", "v1.0", "cc-by-nc-4.0")],
    results=[
        Result("vqa-rad", "test", "recall", 28.23),
        Result("vqa-rad", "test", "accuracy", 61.4, "with options"),
    ],
    losses=[(1, 2.5), (1000, 1.25)],
    version="0.1.0",
)


def test_the_hub_s_own_reader_finds_the_results() -> None:
    data = HubCard(render_model_card(CARD)).data
    assert [(each.dataset_name, each.metric_type, each.metric_value) for each in data.eval_results] == [
        ("vqa-rad", "recall", 28.23),
        ("vqa-rad", "accuracy", 61.4),
    ]
    assert data.datasets == ["llava-med/60k-im"]
    assert data.base_model == "llava-hf/llava-1.5-7b-hf"


def test_the_card_states_recipe_data_losses_and_limits() -> None:
    text = render_model_card(CARD)
    assert "the recipe `stage2-60k-im` (Table 4)" in text
    assert "| llava-med/60k-im | v1.0 | cc-by-nc-4.0 |" in text
    assert "| 1,000 | 1.2500 |" in text
    assert "**Not for clinical use**" in text


def test_a_card_has_no_section_for_what_is_not_known() -> None:
    text = render_model_card(replace(CARD, base_model=None, results=[], losses=[]))
    assert "model-index" not in text
    assert "base_model" not in text
    assert "## Results" not in text
    assert "## Loss" not in text


def test_a_picture_of_the_loss_stands_before_its_table() -> None:
    text = render_model_card(replace(CARD, picture="loss.png"))
    assert (
        "## Loss\n\n![Loss over the training steps of the run](loss.png)\n\n| training step | loss |" in text
    )
    assert "![" not in render_model_card(CARD)


def test_a_folder_is_no_dataset_of_the_hub() -> None:
    own = TrainingData("my rows", None, "not stated")
    assert HubCard(render_model_card(replace(CARD, data=[own, *CARD.data]))).data.datasets == [
        "llava-med/60k-im"
    ]
    assert HubCard(render_model_card(replace(CARD, data=[own]))).data.datasets is None


def test_an_adapter_names_the_library_that_loads_it() -> None:
    assert HubCard(render_model_card(replace(CARD, library="peft"))).data.library_name == "peft"
