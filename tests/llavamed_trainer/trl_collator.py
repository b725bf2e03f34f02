"""TRL's own collator, which batches and their speed are compared with."""

from typing import Any

from trl import get_training_chat_template
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from llavamed_trainer.models.chat_templates import marks_answers


def trl_collator(processor: Any) -> tuple[Any, bool]:
    """TRL's collator, and whether its labels are the answers alone, which TRL cannot do for every template."""
    template, masks = None, marks_answers(processor.chat_template)
    if not masks:
        try:
            template = get_training_chat_template(processor)
        except ValueError:  # it knows no version of the template with marks
            template = None
        masks = template is not None
    collator = DataCollatorForVisionLanguageModeling(
        processor, max_length=None, assistant_only_loss=masks, chat_template=template
    )
    return collator, masks
