"""Operations and bytes of a training step, from a model's shape.

A product of an m×k and a k×n matrix counts 2·m·k·n operations, backward through it as many again for its input and as
many for its weights where they learn; attention is counted in full, not by half for the mask, as
`torch.utils.flop_counter` counts both. Norms, activations and embeddings are left out, as there.
"""

from dataclasses import dataclass

from llavamed_trainer.planning.shape import Language, Shape, Tower

GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes through the model at once.

    Attributes:
        rows: one image each.
        tokens: of a row, with those of the image, padding included.
        labels: of a row, those with a loss: the vocabulary is computed for them alone.
    """

    rows: int
    tokens: int
    labels: int


@dataclass(frozen=True, slots=True)
class Learning:
    """What learns and how.

    Attributes:
        language: the language model learns (else the projection alone).
        checkpointing: blocks of the language model are computed again in the backward pass.
        lora: rank of adapters in place of the language model's own weights; None without.
    """

    language: bool
    checkpointing: bool
    lora: int | None = None


@dataclass(frozen=True, slots=True)
class Operations:
    """Of one batch, by what they are spent on."""

    tower: int
    projector: int
    blocks: int
    head: int
    backward: int
    again: int

    @property
    def forward(self) -> int:
        """Once through the model."""
        return self.tower + self.projector + self.blocks + self.head

    @property
    def total(self) -> int:
        """With backward and what is computed again."""
        return self.forward + self.backward + self.again


def operations(shape: Shape, batch: Batch, learning: Learning) -> Operations:
    """Operations of one batch, forward and backward."""
    blocks = _matrices(shape.language, batch) + _attention(shape.language, batch)
    head = 2 * batch.rows * batch.labels * shape.language.hidden * shape.language.vocabulary
    adapters = _adapters(shape.language, batch, learning.lora) if learning.lora and learning.language else 0
    return Operations(
        tower=_tower(shape.vision, batch.rows),
        projector=_projector(shape, batch),
        blocks=blocks + adapters,
        head=head,
        backward=_backward(shape, batch, learning, adapters),
        again=_again(shape.language, batch, blocks + adapters) if learning.checkpointing else 0,
    )


def _matrices(language: Language, batch: Batch) -> int:
    return 2 * batch.rows * batch.tokens * language.layers * language.block


def _attention(language: Language, batch: Batch) -> int:
    return 4 * batch.rows * batch.tokens**2 * language.layers * language.heads * language.head


def _tower(tower: Tower, rows: int) -> int:
    tokens = tower.patches + tower.class_token
    block = 4 * tower.hidden**2 + 2 * tower.hidden * tower.intermediate
    attention = 4 * tokens**2 * tower.hidden
    patches = 2 * 3 * tower.patch**2 * tower.hidden * tower.patches
    return rows * (tower.layers * (2 * tokens * block + attention) + patches)


def _projector(shape: Shape, batch: Batch) -> int:
    hidden = shape.language.hidden
    return 2 * batch.rows * shape.vision.patches * (shape.vision.hidden * hidden + hidden**2)


def _backward(shape: Shape, batch: Batch, learning: Learning, adapters: int) -> int:
    """Inputs' gradients everywhere behind the projection, weights' where they learn, attention's two each."""
    hidden, images = shape.language.hidden, batch.rows * shape.vision.patches
    whole = learning.language and not learning.lora
    through = 2 if whole else 1
    head = 2 * batch.rows * batch.labels * hidden * shape.language.vocabulary
    language = through * (_matrices(shape.language, batch) + head) + 2 * _attention(shape.language, batch)
    first = 2 * images * shape.vision.hidden * hidden  # no gradient goes to the frozen tower
    second = (1 if shape.linear else 2) * 2 * images * hidden**2
    return language + first + second + 2 * adapters


def _again(language: Language, batch: Batch, blocks: int) -> int:
    """All but each block's last product, whose result nothing in the backward pass asks for."""
    return blocks - 2 * batch.rows * batch.tokens * language.layers * language.hidden * language.intermediate


def _adapters(language: Language, batch: Batch, rank: int) -> int:
    return 2 * batch.rows * batch.tokens * language.layers * adapter_weights(language, rank)


def adapter_weights(language: Language, rank: int) -> int:
    """Weights that LoRA of this rank adds to one block: two thin matrices for each of its seven."""
    queries, keys = language.heads * language.head, language.kv_heads * language.head
    attention = 2 * (language.hidden + queries) + 2 * (language.hidden + keys)
    return rank * (attention + 3 * (language.hidden + language.intermediate))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, by what holds them."""

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    reserve: int

    @property
    def total(self) -> int:
        """All of them."""
        return (
            self.weights + self.gradients + self.optimizer + self.gathered + self.activations + self.reserve
        )


def trained_parameters(shape: Shape, learning: Learning) -> int:
    """How many weights learn."""
    if not learning.language:
        return shape.projector_trained
    if learning.lora:
        return shape.projector_trained + shape.language.layers * adapter_weights(
            shape.language, learning.lora
        )
    return shape.projector_trained + shape.language.parameters


def memory(shape: Shape, batch: Batch, learning: Learning, gpus: int) -> Memory:
    """Bytes on each of `gpus` under full sharding (FSDP), float32 weights, bf16 arithmetic, AdamW.

    Weights, gradients and the two moments of AdamW are 4 bytes each, divided among the GPUs. Gathered: two blocks of
    the language model in bf16 at a time, one computed and one fetched, and the embeddings. Activations: with
    checkpointing each block's input and one block's inside; logits in float32, with their gradient, for the labels.
    Reserve: 1.5 GB of CUDA itself and 8 % for what the allocator cannot use.
    """
    language, trained = shape.language, trained_parameters(shape, learning)
    gathered = 2 * 2 * language.block + 2 * language.vocabulary * language.hidden if gpus > 1 else 0
    tokens = batch.rows * batch.tokens
    inside = 2 * tokens * (8 * language.hidden + 4 * language.intermediate)
    kept = 2 * tokens * language.hidden * language.layers + inside
    activations = kept if learning.checkpointing else inside * language.layers
    activations += 2 * 4 * batch.rows * batch.labels * language.vocabulary
    held = 4 * shape.parameters // gpus + (4 + 8) * trained // gpus + gathered + activations
    return Memory(
        weights=4 * shape.parameters // gpus,
        gradients=4 * trained // gpus,
        optimizer=8 * trained // gpus,
        gathered=gathered,
        activations=activations,
        reserve=int(1.5 * GIGABYTE) + held * 8 // 100,
    )
