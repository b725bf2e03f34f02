"""Pushes a model to the Hub during a run and at its end; a failure is reported, retried, and never ends the run."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from transformers import TrainerCallback, TrainerState
from transformers.trainer_utils import HubStrategy
from trl import SFTConfig

from llavamed_data.console.printable import hide_token
from llavamed_data.errors import LlavaMedError, one_line

WAITS = (1.0, 4.0, 16.0)
"""Seconds before each retry at the end of a run."""

_NOT_PUSHED = (
    "checkpoint-*",
    "checkpoint-*/**",
    "answers/*",
    "bad_rows.jsonl",
    "run.json",
    "trainer_state.json",
    "training_args.bin",
)
"""Files of a run's folder that no reader of the model needs."""

_TRAINING_STATE = (
    "optimizer*",
    "scheduler*",
    "scaler*",
    "rng_state*",
    "trainer_state.json",
    "global_step*",
    "latest",
)
"""Files of a checkpoint that only resuming needs."""


class HubPush(TrainerCallback):
    """Pushes the folder of a run to a model repository; added to a trainer as a callback, it pushes checkpoints too.

        push = HubPush(training, folder, say=print)
        push.open()                              # makes the repository; a failure is reported and retried at the end
        push.checkpoint(folder / "checkpoint-500")   # in the background, as --hub_strategy says
        push.finish()                            # pushes everything, with retries

    Args:
        training: TRL's training arguments, for the settings of the Hub.
        folder: of the run.
        say: prints one line.
        waits: seconds before each retry at the end.

    Attributes:
        repository: its name; with that of its owner once the Hub has been asked.
    """

    def __init__(
        self,
        training: SFTConfig,
        folder: Path,
        say: Callable[[str], None],
        *,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self.repository = training.hub_model_id or folder.resolve().name
        self._waits = waits
        self._strategy = HubStrategy(training.hub_strategy)
        self._private = training.hub_private_repo
        self._revision = training.hub_revision
        self._folder = folder
        self._say = say
        self._api = HfApi()
        self._running: Future[object] | None = None

    @property
    def address(self) -> str:
        """The address of the model's page."""
        return f"{self._api.endpoint}/{self.repository}"

    def open(self) -> None:
        """Makes the repository unless it is there."""
        try:
            self._make_repository()
        except Exception as error:  # whatever it is, the training is worth more
            self._report(error)

    def on_save(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:  # noqa: ARG002  (transformers sets the parameters)
        """Pushes the checkpoint that the trainer has just written."""
        self.checkpoint(self._folder / f"checkpoint-{state.global_step}")

    def checkpoint(self, checkpoint: Path) -> None:
        """Pushes a checkpoint in the background, unless the last one is still being pushed.

        A checkpoint that holds the whole model also replaces the model in the repository.
        """
        if self._strategy is HubStrategy.END or (self._running and not self._running.done()):
            return
        self._report_last()
        self._running = self._api.run_as_future(self._push_checkpoint, checkpoint)

    def finish(self) -> str:
        """Pushes the folder, waiting longer after each failure.

        Returns:
            The address of the commit.

        Raises:
            LlavaMedError: the last retry failed too; the model is complete in its folder.
        """
        if self._running:
            self._running.exception()  # waits for its end
            self._report_last()
        for wait in self._waits:
            try:
                return self._push_folder()
            except Exception as error:
                self._say(f"push: {_describe(error)}; retrying in {wait:g} s")
                time.sleep(wait)
        try:
            return self._push_folder()
        except Exception as error:
            raise LlavaMedError(
                f"the model is complete in {self._folder}, but it could not be pushed: {_describe(error)}; rerun the "
                f"same command, or run: hf upload {self.repository} {self._folder}"
            ) from None  # no chain: what the HTTP library says of a request could hold its headers

    def _make_repository(self) -> None:
        made = self._api.create_repo(self.repository, private=self._private, exist_ok=True)
        self.repository = made.repo_id
        if self._revision:
            self._api.create_branch(self.repository, branch=self._revision, exist_ok=True)

    def _push_folder(self) -> str:
        self._make_repository()
        return str(self._upload(self._folder, None, _NOT_PUSHED, "Model"))

    def _push_checkpoint(self, checkpoint: Path) -> None:
        self._make_repository()
        title = f"Training, {checkpoint.name}"
        if any(checkpoint.glob("model*.safetensors")):
            self._upload(checkpoint, None, _TRAINING_STATE, title)
        if self._strategy is HubStrategy.CHECKPOINT:
            self._upload(checkpoint, "last-checkpoint", (), title)
        elif self._strategy is HubStrategy.ALL_CHECKPOINTS:
            self._upload(checkpoint, checkpoint.name, (), title)

    def _upload(self, folder: Path, target: str | None, without: Sequence[str], title: str) -> object:
        return self._api.upload_folder(
            repo_id=self.repository,
            folder_path=folder,
            path_in_repo=target,
            ignore_patterns=list(without),
            commit_message=title,
            revision=self._revision,
        )

    def _report_last(self) -> None:
        if self._running and (error := self._running.exception()):
            self._report(error)
        self._running = None

    def _report(self, error: BaseException) -> None:
        self._say(f"push: {_describe(error)}; training continues, the push is retried at its end")


def _describe(error: BaseException) -> str:
    """Describes a failure in one line that does not hold the login's token."""
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        text = f"the Hub answered {code} ({error.server_message or type(error).__name__})"
        if code == 401:
            text += ": set HF_TOKEN to a token with write access, or run `hf auth login`"
    else:
        text = f"the Hub at {constants.ENDPOINT} could not be reached ({type(error).__name__}: {error})"
    return one_line(hide_token(text), 400)
