"""To the Hub while a run goes on and at its end; what fails is told, tried again, and never ends the training."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from transformers.trainer_utils import HubStrategy
from trl.trainer.sft_config import SFTConfig

from llavamed_data.console.printable import hide_token
from llavamed_data.errors import LlavaMedError

WAITS = (1.0, 4.0, 16.0)
"""Seconds before each further try at the end."""

_AT_HOME = (
    "checkpoint-*",
    "checkpoint-*/**",
    "bad_rows.jsonl",
    "run.json",
    "trainer_state.json",
    "training_args.bin",
)
"""Of the run's folder, what no reader of the model needs."""

_STATE_FILES = (
    "optimizer*",
    "scheduler*",
    "scaler*",
    "rng_state*",
    "trainer_state.json",
    "global_step*",
    "latest",
)
"""Of a checkpoint, what only resuming needs."""


class HubPush:
    """Where a run's model goes.

        push = HubPush(training, folder, say=print)
        push.open()                              # makes the repository; a failure is told and tried again at the end
        push.checkpoint(folder / "checkpoint-500", whole=True)  # in the background, as --hub_strategy wishes
        push.finish()                            # all of it, with retries

    Attributes:
        repository: its name, with the user's once the Hub has said who that is.
    """

    def __init__(
        self,
        training: SFTConfig,
        folder: Path,
        say: Callable[[str], None],
        *,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._waits = waits
        self.repository = training.hub_model_id or folder.resolve().name
        self._strategy = HubStrategy(training.hub_strategy)
        self._private = training.hub_private_repo
        self._revision = training.hub_revision
        self._folder = folder
        self._say = say
        self._api = HfApi()
        self._running: Future[object] | None = None

    @property
    def address(self) -> str:
        """The model's page."""
        return f"{self._api.endpoint}/{self.repository}"

    def open(self) -> None:
        """Makes the repository where it is not there."""
        try:
            self._make()
        except Exception as error:  # whatever it is, training is worth more
            self._say(f"push: {_line(error)}; training goes on, the push is tried again at the end")

    def checkpoint(self, checkpoint: Path, *, whole: bool) -> None:
        """Sends a checkpoint in the background, unless the last one is still on its way.

        Args:
            checkpoint: its folder.
            whole: whether it holds all of the model, so that it may stand as the repository's.
        """
        if self._strategy is HubStrategy.END or (self._running and not self._running.done()):
            return
        self._tell_failure()
        self._running = self._api.run_as_future(self._send_checkpoint, checkpoint, whole)

    def finish(self) -> str:
        """Sends the folder, waiting longer after each failure.

        Returns:
            The commit's address.

        Raises:
            LlavaMedError: the last try failed too; the model is whole in its folder.
        """
        if self._running:
            self._running.exception()
            self._tell_failure()
        for wait in self._waits:
            try:
                return self._send_all()
            except Exception as error:
                self._say(f"push: {_line(error)}; tried again in {wait:g} s")
                time.sleep(wait)
        try:
            return self._send_all()
        except Exception as error:
            raise LlavaMedError(
                f"the model is whole in {self._folder}, but it could not be pushed: {_line(error)}; run the same "
                f"command again, or: hf upload {self.repository} {self._folder}"
            ) from None  # no chain: what the HTTP library says of a request could hold its headers

    def _make(self) -> None:
        made = self._api.create_repo(self.repository, private=self._private, exist_ok=True)
        self.repository = made.repo_id
        if self._revision:
            self._api.create_branch(self.repository, branch=self._revision, exist_ok=True)

    def _send_all(self) -> str:
        self._make()
        sent = self._send(self._folder, None, _AT_HOME, "Model")
        return str(sent)

    def _send_checkpoint(self, checkpoint: Path, whole: bool) -> None:
        self._make()
        title = f"Training, {checkpoint.name}"
        if whole:
            self._send(checkpoint, None, _STATE_FILES, title)
        if self._strategy is HubStrategy.CHECKPOINT:
            self._send(checkpoint, "last-checkpoint", (), title)
        elif self._strategy is HubStrategy.ALL_CHECKPOINTS:
            self._send(checkpoint, checkpoint.name, (), title)

    def _send(self, folder: Path, target: str | None, but: Sequence[str], title: str) -> object:
        return self._api.upload_folder(
            repo_id=self.repository,
            folder_path=folder,
            path_in_repo=target,
            ignore_patterns=list(but),
            commit_message=title,
            revision=self._revision,
        )

    def _tell_failure(self) -> None:
        if self._running and (error := self._running.exception()):
            self._say(f"push: {_line(error)}; training goes on, the push is tried again at the end")
        self._running = None


def _line(error: BaseException) -> str:
    """One line without the login's token."""
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        said = error.server_message or type(error).__name__
        text = f"the Hub answered {code} ({said})"
        if code == 401:
            text += ": set HF_TOKEN to a token with the right to write, or run `hf auth login`"
    else:
        text = f"the Hub at {constants.ENDPOINT} could not be reached ({type(error).__name__}: {error})"
    return hide_token(" ".join(text.split())[:400])
