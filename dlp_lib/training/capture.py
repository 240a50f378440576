"""A step captured as a CUDA graph and replayed: one launch a step instead of hundreds.

It is on where ``Runtime(captured=True)`` says so. The first steps run eagerly. Then a step is
recorded, and its first replays are compared with the same steps run eagerly. Where they differ,
or where something cannot be recorded, a warning says so, and training goes on eagerly.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .batches import Batch, Shapes, Stack, map_tensors, shapes_of, tensors_of
from .steps import Step, average_share, run_eagerly

Launch = Callable[[], None]
WARM_UP = 3  # real steps that run eagerly first: they make momentum buffers and choose kernels
COMPARED = 2  # replays that are compared; the second shows what a model changes in Python
RELATIVE_TOLERANCE = 1e-3  # of weights and losses; atomic additions differ from run to run
ABSOLUTE_TOLERANCE = 1e-5


def record_cuda_graph(function: Launch) -> Launch:
    """Record what a function launches on the current stream, and return what replays that.

    Other threads may go on using the GPU meanwhile: the lab's, or the one that writes records.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        function()
    return graph.replay


@contextlib.contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Let a GPU work on a stream of its own inside the block: no other stream can be captured."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


class Capture:
    """Runs stacks of batches like ``run_eagerly``, by replaying a recorded step where it can.

    Args:
        step: its optimiser must have been through ``prepare_optimiser``.
        record: records what a function launches, and returns what launches that again.
    """

    def __init__(self, step: Step, record: Callable[[Launch], Launch] = record_cuda_graph):
        self.step = step
        self.record = record
        self.recordings: dict[Shapes, Recording] = {}
        self.is_off = False
        reason = _reason_against(step)
        if reason:
            self._turn_off(reason)

    def run(self, stack: Stack, first: int) -> None:
        """Make one step for each batch of a stack.

        Args:
            stack: batches on the model's device.
            first: number of the first step, in the whole run; 0 is the first.
        """
        shapes = shapes_of(stack.batch)
        recording = self.recordings.get(shapes)
        is_long = stack.steps > WARM_UP + COMPARED
        has_room = recording is not None and stack.steps <= recording.room
        if not self.is_off and not has_room and is_long:
            run_eagerly(self.step, stack.part(0, WARM_UP), first)
            recording = self._compared_recording(stack, first)
            done = WARM_UP + COMPARED
            stack = stack.part(done, stack.steps)
            first += done
            if recording is not None:
                self.recordings[shapes] = recording
        if recording is None or stack.steps > recording.room:
            run_eagerly(self.step, stack, first)
        else:
            recording.run(stack, first)

    def _compared_recording(self, stack: Stack, first: int) -> "Recording | None":
        """Make the steps that are compared; return the recording if both ways agree."""
        few = stack.part(WARM_UP, WARM_UP + COMPARED)
        first += WARM_UP
        before = _State(self.step)
        recording = None
        try:
            recording = Recording(self.step, stack, self.record)
            before.restore(self.step)  # whatever recording has changed
            recording.run(few, first)
            replayed = _State(self.step)
        except Exception as error:  # whatever cannot be recorded, the answer is the same
            self._turn_off(str(error).partition("\n")[0])
            recording = None
        before.restore(self.step)
        run_eagerly(self.step, few, first)
        if recording is not None:
            different = _State(self.step).first_difference(replayed)
            if different:
                self._turn_off(f"{different} is not the same as without capture")
                recording = None
        return recording

    def _turn_off(self, reason: str) -> None:
        self.is_off = True
        name = self.step.task.name
        warnings.warn(f"{name}: steps are not captured, because {reason}", stacklevel=3)


class Recording:
    """A recorded step, with the memory in which it finds its batches.

    Args:
        step: to be recorded.
        stack: of batches like those to come; as many steps can be run at a time.
        record: see ``Capture``.
    """

    def __init__(self, step: Step, stack: Stack, record: Callable[[Launch], Launch]):
        self.step = step
        self.room = stack.steps
        device = next(step.modules.parameters()).device
        groups = len(step.optimiser.param_groups)
        self._batches = map_tensors(torch.clone, stack.batch)
        self._rates = torch.zeros(self.room, groups, device=device)
        self._shares = torch.zeros(self.room, device=device)
        self._position = torch.zeros(1, dtype=torch.long, device=device)  # of the next step
        self._launch = record(self._step_at_position)

    def run(self, stack: Stack, first: int) -> None:
        """Replay one step for each batch of a stack; the arguments of ``Capture.run``."""
        numbers = range(first, first + stack.steps)
        rates = torch.tensor([self.step.learning_rates(number) for number in numbers])
        shares = torch.tensor([average_share(number) for number in numbers])
        self._rates[: stack.steps].copy_(rates)
        self._shares[: stack.steps].copy_(shares)
        _copy_batches(stack, self._batches)
        self._position.zero_()
        for _ in numbers:
            self._launch()

    def _step_at_position(self) -> None:
        def at_position(tensor: Tensor) -> Tensor:
            return tensor.index_select(0, self._position).squeeze(0)

        self.step.set_learning_rates(at_position(self._rates).unbind())
        self.step(map_tensors(at_position, self._batches), at_position(self._shares))
        self._position += 1


class _State:
    """A copy of all that a step changes."""

    def __init__(self, step: Step):
        self.tensors = {name: value.clone() for name, value in _changing(step).items()}
        self.device = next(step.modules.parameters()).device
        self.random = torch.get_rng_state()
        if self.device.type == "cuda":
            self.random_of_gpu = torch.cuda.get_rng_state(self.device)

    def restore(self, step: Step) -> None:
        """Put everything back in place."""
        changing = _changing(step)
        for name, value in self.tensors.items():
            changing[name].copy_(value)
        torch.set_rng_state(self.random)
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.random_of_gpu, self.device)

    def first_difference(self, other: "_State") -> str:
        """Return the name of the first tensor that differs by more than rounding, or ""."""
        for name, value in self.tensors.items():
            theirs = other.tensors[name]
            if not torch.allclose(
                value.double(),
                theirs.double(),
                RELATIVE_TOLERANCE,
                ABSOLUTE_TOLERANCE,
                equal_nan=True,
            ):
                return name
        return ""


@torch.no_grad()
def _changing(step: Step) -> dict[str, Tensor]:
    """Return all tensors that a step changes in place, by name."""
    found = {name: value.detach() for name, value in step.modules.state_dict().items()}
    for index, state in enumerate(step.optimiser.state.values()):
        for slot, value in state.items():
            if isinstance(value, Tensor):
                found[f"optimiser/{index}/{slot}"] = value
    for name, value in step.sums.items():
        found[f"sum of {name}"] = value
    return found


def _copy_batches(stack: Stack, batches: Batch) -> None:
    for source, target in zip(tensors_of(stack.batch), tensors_of(batches), strict=True):
        target[: stack.steps].copy_(source)


def prepare_optimiser(optimiser: torch.optim.Optimizer, device: torch.device) -> None:
    """Make an optimiser read its learning rates from tensors, as a captured step must."""
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", float(group["lr"]))
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
        if isinstance(optimiser, torch.optim.SGD):
            group["foreach"] = False
            group["fused"] = True  # the other ways ask for the learning rate's value
        elif "capturable" in group:
            group["capturable"] = True


def _reason_against(step: Step) -> str:
    """Return why a step cannot be captured, or "" where nothing is known against it."""
    if step.task.watch is not None:
        return "something is watched before every step"
    optimiser = step.optimiser
    if not isinstance(optimiser, torch.optim.SGD) and "capturable" not in optimiser.defaults:
        return f"{type(optimiser).__name__} cannot be captured"
    return _reason_against_model(step.modules["model"])


def _reason_against_model(model: nn.Module) -> str:
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.momentum is None:
            return f"{name} averages its statistics by a count that Python keeps"
    return ""
