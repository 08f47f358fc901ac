"""What code for CUDA devices relies on: of a GPU, or of its stand-in (`tests/cuda_stand_in`)."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_operations_on_tensors_of_both_devices_are_refused() -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    for operation in (torch.add, torch.dot, Tensor.add_):
        for first, second in ((there, here), (here, there)):
            with pytest.raises(RuntimeError, match=r"(?i)same device"):
                operation(first, second)
    with pytest.raises(RuntimeError, match=r"(?i)same device"):
        torch.zeros(()).add_(torch.ones((), device="cuda"))


def test_numbers_and_indices_of_the_cpu_go_along() -> None:
    there = torch.arange(4.0, device="cuda")
    assert (there + torch.tensor(1.0)).tolist() == [1, 2, 3, 4]
    assert there[torch.tensor([2, 0])].tolist() == [2, 0]
    there[1:].copy_(torch.zeros(3))
    assert there.cpu().sum() == 0


def test_draws_come_from_a_generator_of_the_device() -> None:
    def drawn() -> Tensor:
        torch.cuda.manual_seed(1)
        return torch.rand(3, device="cuda")

    before = torch.get_rng_state()
    first = drawn()
    assert not torch.equal(first, torch.rand(3, device="cuda"))
    assert torch.equal(first, drawn())
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(RuntimeError, match="'cuda'"):
        torch.rand(3, device="cuda", generator=torch.Generator())


def test_tensors_are_copied_saved_and_given_other_sizes() -> None:
    there = torch.arange(6.0, device="cuda").view(2, 3)
    file = io.BytesIO()
    torch.save(there, file)
    file.seek(0)
    loaded = torch.load(file, map_location="cpu").cuda()
    for other in (copy.deepcopy(there), loaded, torch.cat([there[:1], there[1:]]), there.T.T):
        assert other.device == there.device
        assert torch.equal(other, there)
    assert there.clone().resize_(3, 2).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert there.unfold(1, 2, 1).shape == (2, 2, 2)


def test_a_graph_repeats_its_operations_on_the_memory_that_they_had() -> None:
    source, total = torch.ones(3, device="cuda"), torch.zeros(3, device="cuda")
    _warmed_up(lambda: torch.zeros(3, device="cuda").add_(2 * source))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total.add_(2 * source)
    assert total.tolist() == [0, 0, 0], "a recording computes nothing"
    graph.replay()
    kept, source.data = source.data, torch.full((3,), 100.0, device="cuda")
    kept.fill_(3)
    graph.replay()
    assert total.tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    "operation",
    [
        lambda there: there.sum().item(),
        lambda there: there.copy_(torch.zeros(3)),
        lambda there: there.__setitem__(0, 1),
        lambda there: there.cpu(),
        lambda there: there[there > 0],
        lambda there: there[torch.tensor([1])],
    ],
    ids=["number", "copy", "assignment", "to the CPU", "mask", "indices of the CPU"],
)
def test_what_waits_for_the_device_or_copies_to_it_is_not_recorded(
    operation: Callable[[Tensor], object],
) -> None:
    there = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph()):
        operation(there)
    assert not torch.cuda.is_current_stream_capturing()


def test_a_backward_pass_is_recorded_with_its_running_statistics() -> None:
    norm = torch.nn.BatchNorm2d(2).cuda()
    images = torch.rand(4, 2, 3, 3, device="cuda", requires_grad=True)
    gradient = torch.zeros_like(images)

    def step() -> None:
        gradient.copy_(torch.autograd.grad(norm(images).square().sum(), images)[0])

    _warmed_up(step)
    expected, statistics, mean = gradient.clone(), norm.running_mean.clone(), images.mean(dim=(0, 2, 3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.testing.assert_close(norm.running_mean, statistics)
    gradient.zero_()
    graph.replay()
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(norm.running_mean, 0.9 * statistics + 0.1 * mean)


def _warmed_up(computation: Callable[[], object]) -> None:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        computation()
    torch.cuda.current_stream().wait_stream(stream)
