"""The terms of SEMNR: each is least at the truth and rises with the fault it stands for."""

import pytest
import torch
from torch.nn import functional as F

from training import objectives


@pytest.fixture
def batch():
    torch.manual_seed(0)
    golden = F.interpolate(torch.rand(2, 1, 8, 8), scale_factor=8)
    mask = torch.zeros_like(golden)
    mask[..., 20:32, 24:36] = 1
    clean = (golden + 0.3 * mask).clamp(0, 1.3)
    return {
        "clean": clean,
        "golden": golden,
        "mask": mask,
        "noisy": clean + 0.1 * torch.randn_like(clean),
        "again": clean + 0.1 * torch.randn_like(clean),
    }


@pytest.mark.parametrize("name", objectives.TERMS)
def test_a_term_is_least_at_the_truth(name, batch):
    term = objectives.TERMS[name]
    at_truth = term(batch["clean"], batch)
    assert at_truth <= 0.02  # logarithms are negative there
    if name != "detector":  # which sees a defect of this contrast through the noise
        assert term(batch["noisy"], batch) > at_truth


@pytest.mark.parametrize("name", ["evidence", "detector"])
def test_an_erased_defect_costs_evidence(name, batch):
    term = objectives.TERMS[name]
    assert term(batch["golden"], batch) > term(batch["clean"], batch) + 0.01


def test_invented_structure_costs_though_the_defect_is_kept(batch):
    invented = batch["clean"].clone()
    invented[..., 50:54, 50:54] += 0.3
    assert objectives.flat(invented, batch) > 2 * objectives.flat(batch["clean"], batch)
    assert objectives.evidence(invented, batch) == objectives.evidence(batch["clean"], batch)


@pytest.mark.parametrize("without", [slice(1), slice(2)])
@pytest.mark.parametrize("kind", objectives.STEPS)
def test_every_kind_has_a_gradient_without_a_defect(kind, without, batch):
    batch["mask"][without] = 0
    factor = torch.tensor(0.9, requires_grad=True)
    loss = objectives.STEPS[kind](lambda x: x * factor, batch, objectives.WEIGHTS)
    loss.backward()
    assert torch.isfinite(factor.grad)


def test_the_blind_kind_leaves_noise_behind():
    """On a flat noisy image the loss falls when the network does less of nothing."""
    torch.manual_seed(0)
    noisy = 0.5 + 0.1 * torch.randn(4, 1, 32, 32)
    kept = torch.tensor(1.0, requires_grad=True)  # share of the noise that stays
    objectives.blind(lambda x: 0.5 + kept * (x - 0.5), {"noisy": noisy}, {}).backward()
    assert kept.grad > 0
