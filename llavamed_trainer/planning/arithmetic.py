"""Operations and bytes of a training step, computed from the shape of a model.

The product of an m×k and a k×n matrix counts 2·m·k·n operations; the backward pass counts as many again for its input,
and as many for its weights if they are trained. Attention is counted in full, not by half for the causal mask. Norms,
activations and embeddings are left out. `torch.utils.flop_counter` counts the same way.
"""

from dataclasses import astuple, dataclass

from llavamed_trainer.planning.shape import LanguageShape, ModelShape, VisionShape

GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class BatchShape:
    """What passes through the model at once.

    Attributes:
        rows: the number of rows, of one image each.
        tokens: of a row, image tokens and padding included.
        labels: of a row; logits are computed for them alone.
    """

    rows: int
    tokens: int
    labels: int


@dataclass(frozen=True, slots=True)
class TrainedParts:
    """What is trained, and how.

    Attributes:
        language: whether the language model is trained beside the projector.
        checkpointing: whether blocks of the language model are computed again in the backward pass.
        lora: the rank of adapters that are trained in place of the language model's weights; None without adapters.
    """

    language: bool
    checkpointing: bool
    lora: int | None = None


@dataclass(frozen=True, slots=True)
class OperationCounts:
    """The operations of one batch.

    Attributes:
        tower: forward pass of the vision tower.
        projector: forward pass of the projector.
        blocks: forward pass of the language model's blocks.
        head: forward pass of the output layer.
        backward: the backward pass.
        again: what gradient checkpointing computes again.
    """

    tower: int
    projector: int
    blocks: int
    head: int
    backward: int
    again: int

    @property
    def forward(self) -> int:
        """The operations of the forward pass."""
        return self.tower + self.projector + self.blocks + self.head

    @property
    def total(self) -> int:
        """The operations of forward and backward pass and of what is computed again."""
        return self.forward + self.backward + self.again


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The bytes that one GPU holds.

    Attributes:
        weights: its share of the weights.
        gradients: its share of the gradients.
        optimizer: its share of AdamW's two moments.
        gathered: weights of other GPUs that it holds while it computes with them.
        activations: kept for the backward pass.
        reserve: of CUDA itself and of the allocator.
    """

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    reserve: int

    @property
    def total(self) -> int:
        """The sum of all."""
        return sum(astuple(self))


def operations(shape: ModelShape, batch: BatchShape, trained: TrainedParts) -> OperationCounts:
    """Counts the operations of one batch, forward and backward."""
    language, vision, hidden = shape.language, shape.vision, shape.language.hidden
    matrices = 2 * batch.rows * batch.tokens * language.layers * language.block
    attention = 4 * batch.rows * batch.tokens**2 * language.layers * language.heads * language.head
    head = 2 * batch.rows * batch.labels * hidden * language.vocabulary
    images = batch.rows * vision.patches
    adapters = 0
    if trained.lora and trained.language:
        per_token = language.layers * adapter_weights(language, trained.lora)
        adapters = 2 * batch.rows * batch.tokens * per_token

    # Backward: gradients of inputs everywhere behind the projector, of weights where they are trained.
    times = 2 if trained.language and not trained.lora else 1
    backward = times * (matrices + head) + 2 * attention + 2 * adapters
    backward += 2 * images * vision.hidden * hidden  # no gradient reaches the frozen tower
    backward += (1 if shape.linear else 2) * 2 * images * hidden**2

    again = 0
    if (
        trained.checkpointing
    ):  # all but each block's last product, whose result the backward pass does not need
        last = 2 * batch.rows * batch.tokens * language.layers * hidden * language.intermediate
        again = matrices + attention + adapters - last
    return OperationCounts(
        tower=_tower(vision, batch.rows),
        projector=2 * images * (vision.hidden * hidden + hidden**2),
        blocks=matrices + attention + adapters,
        head=head,
        backward=backward,
        again=again,
    )


def adapter_weights(language: LanguageShape, rank: int) -> int:
    """The weights that LoRA of this rank adds to one block: two thin matrices for each of its seven."""
    queries, keys = language.heads * language.head, language.kv_heads * language.head
    attention = 2 * (language.hidden + queries) + 2 * (language.hidden + keys)
    return rank * (attention + 3 * (language.hidden + language.intermediate))


def trained_parameters(shape: ModelShape, trained: TrainedParts) -> int:
    """The number of weights that are trained."""
    if not trained.language:
        return shape.projector_trained
    if trained.lora:
        return shape.projector_trained + shape.language.layers * adapter_weights(shape.language, trained.lora)
    return shape.projector_trained + shape.language.parameters


def memory(shape: ModelShape, batch: BatchShape, trained: TrainedParts, gpus: int) -> GpuMemory:
    """Estimates the bytes on each of `gpus` under full sharding (FSDP), float32 weights, bfloat16 arithmetic and AdamW.

    Weights, gradients and the two moments of AdamW are 4 bytes each, divided among the GPUs. Gathered are two blocks of
    the language model in bfloat16 at a time, one computed and one fetched, and the embeddings. Activations are, with
    checkpointing, the input of each block and the inside of one; and the logits of the labels in float32 with their
    gradient. The reserve is 1.5 GB for CUDA itself and 8 % for what the allocator cannot use.
    """
    language, learnt = shape.language, trained_parameters(shape, trained)
    gathered = 2 * 2 * language.block + 2 * language.vocabulary * language.hidden if gpus > 1 else 0
    tokens = batch.rows * batch.tokens
    inside = 2 * tokens * (8 * language.hidden + 4 * language.intermediate)
    kept = 2 * tokens * language.hidden * language.layers + inside
    activations = kept if trained.checkpointing else inside * language.layers
    activations += 2 * 4 * batch.rows * batch.labels * language.vocabulary
    held = 4 * shape.parameters // gpus + (4 + 8) * learnt // gpus + gathered + activations
    return GpuMemory(
        weights=4 * shape.parameters // gpus,
        gradients=4 * learnt // gpus,
        optimizer=8 * learnt // gpus,
        gathered=gathered,
        activations=activations,
        reserve=int(1.5 * GIGABYTE) + held * 8 // 100,
    )


def _tower(tower: VisionShape, rows: int) -> int:
    tokens = tower.patches + tower.class_token
    block = 4 * tower.hidden**2 + 2 * tower.hidden * tower.intermediate
    attention = 4 * tokens**2 * tower.hidden
    patches = 2 * 3 * tower.patch**2 * tower.hidden * tower.patches
    return rows * (tower.layers * (2 * tokens * block + attention) + patches)
