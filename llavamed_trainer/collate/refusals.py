"""Which rows are trained on, and which are refused with a reason.

| row | what happens |
| --- | --- |
| `messages` is not a list of `{role, content}`, or has a part other than text and image | refused, *malformed* |
| an image part in an assistant turn | refused, *malformed* |
| a system turn | its text takes the place of the template's system sentence |
| the chat template raises on it (roles in an order that it does not know) | refused, *malformed* |
| no image, and no image part | trained on as text; with `text="answers"` refused, *no image* |
| an image part and no image (`images: []`, the lost figures of the evaluation set) | refused, *no image* |
| more or fewer images than image parts | refused, *image count* |
| two images and two image parts | trained on, images in the order of their parts |
| image part after the text, or in a later turn | trained on, the image stays where it is |
| messages whose content is all plain strings, with images | trained on, images before the first user text (as in TRL) |
| `<image>` written in a text | refused, *image token in text*: it would ask for an image that is not there |
| no assistant turn, or none that says anything | refused, *no answer* |
| one empty answer among others | trained on, nothing is learnt from the empty one, nor from its end mark |
| longer than `max_length` (a text of 100,000 characters) | text is cut at the end, the image never |
| … so that no answer is left | refused, *answer cut off* |
| … so that an image would be cut | refused, *image cut off* |
| corrupt, truncated or empty bytes; over 178 million pixels (Pillow's limit) | refused, *image unreadable* |
| an image with a side under 8 pixels (1 × 1) | refused, *image too small* |
| CMYK, palette, black and white, grey | trained on, as RGB |
| transparent parts | trained on, over white (as transformers has it) |
| 16 or 32 bits, floating point | trained on, its brightest value becomes white, so that 12-bit scans show |
| an EXIF orientation | trained on, upright (as `datasets` decodes it) |
| an animation | trained on, its first frame |
"""

from enum import StrEnum


class Fault(StrEnum):
    """Why a row cannot be trained on."""

    MALFORMED = "malformed"
    NO_IMAGE = "no image"
    IMAGE_COUNT = "image count"
    IMAGE_TOKEN_IN_TEXT = "image token in text"  # noqa: S105 - no password
    NO_ANSWER = "no answer"
    ANSWER_CUT_OFF = "answer cut off"
    IMAGE_CUT_OFF = "image cut off"
    IMAGE_UNREADABLE = "image unreadable"
    IMAGE_TOO_SMALL = "image too small"


class Refusal(Exception):  # noqa: N818 - not an error of the run
    """A row that is left out.

    Attributes:
        fault: why.
        detail: what about this row, for a person.
    """

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail
