"""Operations and bytes of a training step, computed from the shape of a model.

The product of an m×k and a k×n matrix counts 2·m·k·n operations; the backward pass counts as many again for its input,
and as many for its weights if they are trained. Attention is counted in full, not by half for the causal mask. Norms,
activations, embeddings and the pooling of image features are left out. `torch.utils.flop_counter` counts the same way.
"""

from dataclasses import astuple, dataclass

from llavamed_trainer.planning.shape import ImageShape, ModelShape, VisionShape

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
        bits: of a weight that is not trained, in memory: 32, 16, 8 or 4. Weights that are trained have 32.
    """

    language: bool
    checkpointing: bool
    lora: int | None = None
    bits: int = 32


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
        activations: kept for the backward pass, or while the vision tower computes, whichever is more; and pixels.
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
    language, projector = shape.language, shape.projector
    tokens = batch.rows * batch.tokens
    matrices = 2 * tokens * (language.matrices - language.passed_by)
    attention = 4 * tokens * batch.tokens * language.layers * language.attention
    head = 2 * batch.rows * _logits(shape, batch) * language.hidden * language.vocabulary
    features = 2 * batch.rows * shape.image.projected
    adapters = 2 * tokens * _adapter_weights(shape, trained)

    # Backward: gradients of inputs everywhere behind the projector, of weights where they are trained.
    times = 2 if trained.language and not trained.lora else 1
    backward = times * (matrices + head) + 2 * attention + 2 * adapters
    backward += features * projector.trained_matrices
    backward += features * (projector.matrices - projector.first)  # no gradient reaches the frozen tower

    again = 0
    if trained.checkpointing:  # all but what ends a block, whose result the backward pass does not need
        again = matrices + attention + adapters - 2 * tokens * language.last
    return OperationCounts(
        tower=batch.rows * _tower(shape.vision, shape.image),
        projector=features * projector.matrices,
        blocks=matrices + attention + adapters,
        head=head,
        backward=backward,
        again=again,
    )


def trained_parameters(shape: ModelShape, trained: TrainedParts) -> int:
    """The number of weights that are trained."""
    if trained.lora:
        return shape.projector.adapted + _adapter_weights(shape, trained)
    return shape.projector.trained + (shape.language.parameters if trained.language else 0)


def memory(shape: ModelShape, batch: BatchShape, trained: TrainedParts, gpus: int) -> GpuMemory:
    """Estimates the bytes on each of `gpus` under full sharding (FSDP), bfloat16 arithmetic and AdamW.

    Weights that are trained, gradients and the two moments of AdamW are 4 bytes each, divided among the GPUs. Frozen
    weights are as `trained` states them; of 4 or 8 bit are only those of the language model's matrices, and the rest is
    bfloat16. Gathered are two blocks of the language model in bfloat16 at a time, one computed and one fetched, and the
    embeddings.
    Activations are, with checkpointing, the input of each block and the inside of one; and the logits of the labels in
    float32 with their gradient. The vision tower keeps nothing for the backward pass: the inside of one of its blocks
    counts if it is more than all of these. The reserve is 1.5 GB for CUDA itself and 8 % for what the allocator cannot
    use.
    """
    language, vision, image = shape.language, shape.vision, shape.image
    learnt = trained_parameters(shape, trained)
    added = _adapter_weights(shape, trained)
    frozen = shape.parameters - (learnt - added)
    weights = 4 * learnt + _frozen_bytes(shape, frozen, trained)
    gathered = 0
    if gpus > 1:
        gathered = 2 * 2 * (language.matrices // language.layers) + 2 * language.vocabulary * language.hidden
    tokens = batch.rows * batch.tokens
    inside = 2 * tokens * (8 * language.hidden + 4 * language.intermediate)
    kept = 2 * tokens * language.hidden * language.layers + inside
    activations = kept if trained.checkpointing else inside * language.layers
    activations += 2 * 4 * batch.rows * _logits(shape, batch) * language.vocabulary
    patches = batch.rows * image.tiles * image.patches
    activations = max(activations, 2 * patches * (8 * vision.hidden + 4 * vision.intermediate))
    activations += 4 * patches * vision.embedding // vision.hidden  # the pixels
    held = weights // gpus + (4 + 8) * learnt // gpus + gathered + activations
    return GpuMemory(
        weights=weights // gpus,
        gradients=4 * learnt // gpus,
        optimizer=8 * learnt // gpus,
        gathered=gathered,
        activations=activations,
        reserve=int(1.5 * GIGABYTE) + held * 8 // 100,
    )


def _frozen_bytes(shape: ModelShape, frozen: int, trained: TrainedParts) -> int:
    if trained.bits >= 16:
        return frozen * trained.bits // 8
    # experts are tensors of three dimensions, which bitsandbytes leaves as they are
    matrices = min(frozen, shape.language.matrices - shape.language.passed_by)
    return matrices * trained.bits // 8 + 2 * (frozen - matrices)


def _adapter_weights(shape: ModelShape, trained: TrainedParts) -> int:
    """The weights that LoRA adds: two thin matrices for each of the language model's."""
    return (trained.lora or 0) * shape.language.adapters


def _logits(shape: ModelShape, batch: BatchShape) -> int:
    """The tokens of a row for which logits are computed."""
    return batch.labels if shape.logits_at_labels else batch.tokens


def _tower(tower: VisionShape, image: ImageShape) -> int:
    """The operations of the vision tower for one image."""
    tokens = image.patches + tower.class_token
    seen = tower.layers * tokens + tower.windowed * min(tower.window, tokens)
    attention = 4 * tokens * seen * tower.hidden
    return image.tiles * (2 * tokens * tower.matrices + attention + 2 * image.patches * tower.embedding)
