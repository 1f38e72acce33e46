"""Tasks side by side: in order, in the caller's torch mode, with the first error told."""

from __future__ import annotations

import pytest
import torch

from chibi_avatar.avatar.workers import each, workers


@pytest.mark.parametrize("inference", [True, False])
def test_tensors_of_a_node_can_be_changed_in_its_tasks(inference):
    """ComfyUI runs nodes in inference mode; the bake of a loaded avatar would end in an error about inference tensors."""
    with torch.inference_mode(inference):
        tensors = [torch.zeros(2) for _ in range(4)]
        assert torch.stack(each(lambda tensor: tensor.add_(1), tensors)).eq(1).all()


def test_results_keep_their_order_and_an_error_is_raised():
    """Views would be baked onto each other's sides."""
    assert each(lambda number: number * 2, range(8)) == list(range(0, 16, 2))
    with pytest.raises(ZeroDivisionError):
        each(lambda number: 1 // number, [1, 0])


def test_a_task_starts_no_others_beside_it():
    """Eight renders side by side would each shade in several threads more, and take the memory of sixteen."""
    before = workers()
    assert each(lambda _: each(lambda _: workers(), range(2)), range(2)) == [[1, 1], [1, 1]]
    assert workers() == before
