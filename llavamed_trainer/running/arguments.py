"""What a training run takes beside TRL's own `SFTConfig` and `ModelConfig`."""

from dataclasses import dataclass, field
from typing import Literal

StageName = Literal["projector", "projector+language-model"]
TextName = Literal["all", "answers"]


def _about(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass
class TrainArguments:
    """Data, stage and batch of a run; every field is a flag and a key of the recipes' YAML.

    Attributes:
        dataset: what `load_dataset` takes: a name (`llava-med/60k-im`) or a folder; columns `messages`, `images`.
        dataset_revision: branch, tag or commit of a dataset on the Hub.
        split: the rows trained on.
        eval_dataset: for `eval_strategy`; the same dataset if not given.
        eval_split: the rows evaluated on.
        streaming: read rows as they come, nothing is downloaded first.
        shuffle_buffer: rows among which a stream is shuffled.
        max_rows: train on the first rows only.
        stage: what learns (section 4); the vision tower never does.
        text: `answers`: the image is the only input (section C.2).
        template: chat template to use in place of the model's own, by name.
        global_batch_size: rows a step over all processes and accumulated batches (Table 5: 128).
        exact_images: decode images bit for bit as the stock processor does, at half the speed.
        max_bad_rows: end the run when more rows than this cannot be trained on; no limit if not given.
    """

    dataset: str | None = field(
        default=None, metadata=_about("Name or folder of the dataset, as load_dataset takes it.")
    )
    dataset_revision: str | None = field(
        default=None, metadata=_about("Branch, tag or commit of a dataset on the Hub.")
    )
    split: str = field(default="train", metadata=_about("Rows to train on."))
    eval_dataset: str | None = field(
        default=None, metadata=_about("Dataset for --eval_strategy, if not the same.")
    )
    eval_split: str | None = field(default=None, metadata=_about("Rows to evaluate on."))
    streaming: bool = field(
        default=False, metadata=_about("Read rows as they come; nothing is downloaded first.")
    )
    shuffle_buffer: int = field(
        default=1000, metadata=_about("Rows among which --streaming shuffles; 0: not at all.")
    )
    max_rows: int | None = field(default=None, metadata=_about("Train on the first rows only."))
    stage: StageName = field(
        default="projector+language-model",
        metadata=_about("What learns; the vision tower never does (section 4)."),
    )
    text: TextName = field(
        default="all", metadata=_about("answers: the image is the only input (section C.2).")
    )
    template: str | None = field(
        default=None, metadata=_about("Chat template in place of the model's own: vicuna_v1, mistral.")
    )
    global_batch_size: int = field(
        default=128, metadata=_about("Rows a step, over all processes and accumulated batches.")
    )
    exact_images: bool = field(
        default=False, metadata=_about("Decode images bit for bit as the stock processor does.")
    )
    max_bad_rows: int | None = field(
        default=None, metadata=_about("End the run when more rows than this cannot be used.")
    )
