"""Data-parallel meta-training: Ray Train processes, the ranks, share the learners of every meta step.

The first rank reports to this process through a mailbox, and sends along each state that it saved: state and
progress are kept here as if the meta-training ran here, and no file system has to be shared.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gtn_core import (
    DatasetSplits,
    FrozenCheckpoint,
    GtnNasError,
    LearnerSampler,
    MetaStepReport,
    MetaTrainingConfig,
    Rank,
    RankingReference,
    meta_train,
)
from gtn_core.files import write_atomically
from services.errors import ServiceError
from services.ray_session import ray_session
from services.schemas.requests import MetaTrainingResources

RESTARTS = 3
"""How often ranks that died, for want of memory or with their node, are started again from the last state."""

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class RankTask:
    """What every rank is told: the arguments of `meta_train`."""

    splits: DatasetSplits
    config: MetaTrainingConfig
    seed: int
    learner_sampler: LearnerSampler | None
    ranking_reference: RankingReference | None


def meta_train_on_ranks(
    task: RankTask,
    resources: MetaTrainingResources,
    *,
    on_step: Callable[[MetaStepReport], None],
    state_path: Path,
    ray_address: str,
) -> FrozenCheckpoint:
    """`meta_train` on several ranks, to the same checkpoint but for the order in which gradients add up.

    `on_step` is called here, and may raise to stop: the state is then saved. Raises what `meta_train` raises,
    ServiceError when ranks die again and again, and ClusterUnavailableError.
    """
    with ray_session(ray_address):
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError

        state = state_path.read_bytes() if state_path.exists() else None
        mailbox = ray.remote(num_cpus=0, max_restarts=0)(_Mailbox).remote(state)
        trainer = TorchTrainer(
            _run_rank,
            train_loop_config={"task": ray.put(task), "mailbox": mailbox},
            torch_config=TorchConfig(backend=_backend(resources)),
            scaling_config=ScalingConfig(
                num_workers=resources.ranks,
                use_gpu=resources.gpus_per_rank > 0,
                resources_per_worker=_share(resources),
            ),
            run_config=RunConfig(
                storage_path=str(state_path.parent.absolute() / "ray-train"),
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        failure: Exception | None = None
        with _letters_read(mailbox, on_step, state_path) as reader:
            try:
                trainer.fit()
            except TrainingFailedError as error:
                failure = error
    if reader.stopped_by is not None:
        raise reader.stopped_by
    if reader.left.error is not None:
        raise reader.left.error
    if reader.left.checkpoint is None:
        raise ServiceError(
            f"{resources.ranks} ranks did not come to an end in {1 + RESTARTS} attempts; memory or a lost "
            f"node may be the cause: {failure}"
        )
    return FrozenCheckpoint.from_bytes(reader.left.checkpoint)


def _backend(resources: MetaTrainingResources) -> str:
    """What ranks exchange gradients by; NCCL refuses those that share a GPU."""
    return "cpu:gloo,cuda:nccl" if resources.gpus_per_rank == 1 else "gloo"


def _share(resources: MetaTrainingResources) -> dict[str, float]:
    gpus = {"GPU": resources.gpus_per_rank} if resources.gpus_per_rank else {}
    return {"CPU": resources.cpus_per_rank, **gpus}


@dataclass
class _Letters:
    """What has come since the mailbox was last emptied."""

    reports: list[MetaStepReport] = field(default_factory=list)
    state: bytes | None = None
    checkpoint: bytes | None = None
    error: GtnNasError | None = None


class _Mailbox:
    """An actor between the ranks and the worker; it outlives ranks that die, and knows where they were."""

    def __init__(self, state: bytes | None) -> None:
        self._letters, self._state, self._ended = _Letters(), state, False

    def start(self) -> tuple[bytes | None, bool]:
        """For every rank: the state to go on from, and whether there is nothing left to do."""
        return self._state, self._ended

    def report(self, report: MetaStepReport | None, state: bytes | None) -> bool:
        """From the first rank; answers whether the ranks are to stop."""
        if report is not None:
            self._letters.reports.append(report)
        if state is not None:
            self._state = self._letters.state = state
        return self._ended

    def end(self, checkpoint: bytes | None, error: GtnNasError | None) -> None:
        """From a rank: it is done, or what it met will be met again however often it is started."""
        self._ended = True
        self._letters.checkpoint = checkpoint
        self._letters.error = self._letters.error or error

    def stop(self) -> None:
        """From the worker."""
        self._ended = True

    def empty(self) -> _Letters:
        letters, self._letters = self._letters, _Letters()
        return letters


class _Reader:
    """Reads the mailbox: calls `on_step`, keeps states, and has the ranks stopped when `on_step` raises."""

    def __init__(self, mailbox: Any, on_step: Callable[[MetaStepReport], None], state_path: Path) -> None:
        self._mailbox, self._on_step, self._state_path = mailbox, on_step, state_path
        self.left = _Letters()
        self.stopped_by: BaseException | None = None

    def read(self) -> None:
        import ray

        letters: _Letters = ray.get(self._mailbox.empty.remote())
        self.left.checkpoint = letters.checkpoint or self.left.checkpoint
        self.left.error = letters.error or self.left.error
        if letters.state is not None:
            write_atomically(self._state_path, letters.state)
        for report in letters.reports:
            if self.stopped_by is None:
                try:
                    self._on_step(report)
                except BaseException as reason:
                    self.stopped_by = reason
                    self._mailbox.stop.remote()


@contextmanager
def _letters_read(
    mailbox: Any, on_step: Callable[[MetaStepReport], None], state_path: Path
) -> Iterator[_Reader]:
    """Inside, a thread reads the mailbox; whatever came is read before the block is left."""
    reader, left = _Reader(mailbox, on_step, state_path), threading.Event()
    lost: list[Exception] = []

    def keep_reading() -> None:
        try:
            while not left.wait(_POLL_SECONDS):
                reader.read()
        except Exception as error:  # the mailbox's node is lost
            lost.append(error)

    thread = threading.Thread(target=keep_reading, name="mailbox", daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        left.set()
        thread.join()
    if lost:
        raise lost[0]
    reader.read()


class _Stopped(Exception):  # noqa: N818 - ends the ranks together
    pass


def _run_rank(told: dict[str, Any]) -> None:
    """What one rank does, in a process of its own, on any node."""
    import ray
    import ray.train
    import ray.train.torch

    task: RankTask = ray.get(told["task"])
    mailbox = told["mailbox"]
    context = ray.train.get_context()
    state, ended = ray.get(mailbox.start.remote())
    if ended:
        return
    with TemporaryDirectory() as folder:
        link = _Link(context.get_world_rank(), context.get_world_size(), mailbox, Path(folder) / "state")
        if state is not None:
            link.state_path.write_bytes(state)
        try:
            checkpoint = meta_train(
                task.splits,
                task.config,
                seed=task.seed,
                learner_sampler=task.learner_sampler,
                ranking_reference=task.ranking_reference,
                on_step=link.on_step,
                state_path=link.state_path,
                device=ray.train.torch.get_device(),
                rank=link.rank,
            )
        except _Stopped:
            link.send_state()
        except GtnNasError as error:
            ray.get(mailbox.end.remote(None, error))
            raise  # the other ranks wait for this one; only its end ends them
        else:
            if link.rank.index == 0:
                ray.get(mailbox.end.remote(checkpoint.to_bytes(), None))


class _Link:
    """How one rank reaches the others and the worker."""

    def __init__(self, index: int, count: int, mailbox: Any, state_path: Path) -> None:
        import torch.distributed

        self.rank = Rank(index, count, torch.distributed.all_reduce)
        self.state_path = state_path
        self._mailbox, self._sent = mailbox, 0

    def on_step(self, report: MetaStepReport) -> None:
        """Tell the worker of the step, and stop in it together when the worker says so."""
        import ray
        import torch

        stop = torch.zeros(1)
        if self.rank.index == 0 and ray.get(self._mailbox.report.remote(report, self._new_state())):
            stop += 1
        self.rank.add_up(stop)
        if stop.item():
            raise _Stopped

    def send_state(self) -> None:
        """The state as it was saved last."""
        import ray

        if self.rank.index == 0:
            ray.get(self._mailbox.report.remote(None, self._new_state()))

    def _new_state(self) -> bytes | None:
        """The saved state, if it has not been sent; files are replaced, never changed."""
        if not self.state_path.exists() or self.state_path.stat().st_mtime_ns == self._sent:
            return None
        self._sent = self.state_path.stat().st_mtime_ns
        return self.state_path.read_bytes()
