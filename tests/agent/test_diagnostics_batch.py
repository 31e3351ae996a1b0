"""Figures of a batch. The document that asks for them (seed 0) works through batches of 64."""

import numpy as np
import pytest
import torch

from handrail.agent.diagnostics_batch import HISTOGRAM_EDGES, JudgedBatch, batch_scalars, q_histogram
from handrail.agent.diagnostics_episodes import discounted_returns
from handrail.agent.diagnostics_gradient import gradient_shares
from handrail.agent.networks.mlp import EnsembleMLP
from handrail.agent.origins import Origin

LIMITS = {"effective_td": 0.1, "ceiling_margin": 0.05}


def batch(*rows: tuple[int, Origin, float, float, float]) -> JudgedBatch:
    """Rows of (how many, origin, reward, target, Q), by one critic."""
    counts = [row[0] for row in rows]
    origins, rewards, target, q = (np.repeat([row[i] for row in rows], counts) for i in range(1, 5))
    return JudgedBatch(q[None].astype(np.float32), target.astype(np.float32), rewards, origins)


def shares(found: JudgedBatch) -> dict[str, float]:
    """Of the gradient, where every sample has the same features."""
    td_error = torch.from_numpy(found.q - found.target)
    return gradient_shares(td_error, torch.ones(*td_error.shape, 8), found.origins)


def mean_gradient(found: JudgedBatch) -> float:
    """As the document counts it: the mean of 2 (Q − y)."""
    return float((2.0 * found.td_error).mean())


EARLY = batch((32, Origin.ONLINE_FAILURE, 0.0, 0.0, 0.0), (32, Origin.DEMO, 1.0, 1.0, 0.0))
"""Its §2.3: before anything is learned."""
AMPLIFIED = batch((32, Origin.ONLINE_FAILURE, 0.0, 0.0, 0.0), (32, Origin.DEMO, 1.0, 1.0, 0.25))
"""Its §4.1: a mean gradient of −1.5 on demonstrations."""
WORKED = batch(
    (31, Origin.ONLINE_FAILURE, 0.0, 0.0, 0.0),
    (1, Origin.ONLINE_SUCCESS, 1.0, 1.0, 0.25),
    (25, Origin.DEMO, 1.0, 1.0, 0.25),
    (7, Origin.DEMO, 0.0, 0.0, 0.0),
)
"""Its §5.1: after a thousand steps. A gradient of −1.5 = 2 (Q − y) on what is rewarded."""


def test_before_anything_is_learned_all_of_the_gradient_is_the_demonstrations():
    assert mean_gradient(EARLY) == -1.0
    assert shares(EARLY)["share/demo"] == pytest.approx(1.0)
    assert shares(EARLY)["share/online_failure"] == 0.0
    assert "cosine/online_failure" not in shares(EARLY)  # nothing has no direction
    assert batch_scalars(EARLY, **LIMITS)["effective/demo"] == 1.0


def test_a_sparse_reward_leaves_the_whole_gradient_to_the_demonstrations():
    assert mean_gradient(AMPLIFIED) == -0.75
    assert shares(AMPLIFIED)["share/demo"] == pytest.approx(1.0)


def test_the_worked_example_has_its_percentages():
    found = batch_scalars(WORKED, **LIMITS)
    assert found["effective_samples"] == 26 / 64
    online = found["effective/online_success"] + found["effective/online_failure"]
    assert f"{online:.1%}" == "3.8%" and f"{found['effective/demo']:.1%}" == "96.2%"
    assert found["effective/online_failure"] == found["effective/intervention"] == 0.0
    assert [found[f"rows/{name}"] for name in ("demo", "online_success", "online_failure")] == [32, 1, 31]
    assert found["reward_density/demo"] == 25 / 32 and found["reward_density/online_failure"] == 0.0


def test_with_equal_features_the_gradient_s_shares_are_the_same_percentages():
    found = shares(WORKED)
    assert found["share/online_success"] == pytest.approx(1 / 26)
    assert found["share/demo"] == pytest.approx(25 / 26)
    assert found["share/online_failure"] == 0.0
    assert found["cosine/demo"] == pytest.approx(1.0)


def test_the_document_s_trajectory_is_the_discounted_return():
    assert discounted_returns(np.array([0.0, 0.0, 1.0]), 0.95) == pytest.approx([0.9025, 0.95, 1.0])
    assert discounted_returns(np.array([0.5, -0.1, 0.0]), 0.9) == pytest.approx([0.41, -0.1, 0.0])
    assert len(discounted_returns(np.array([]), 0.9)) == 0


def test_the_closed_form_is_the_gradient_that_training_would_take():
    generator = torch.Generator().manual_seed(0)
    critic = EnsembleMLP(3, 5, 1, (16, 16), generator=generator)
    x, target = torch.randn(40, 5, generator=generator), torch.randn(40, generator=generator)
    origins = np.repeat([Origin.DEMO, Origin.INTERVENTION, Origin.ONLINE_FAILURE], [20, 5, 15])
    q, features = critic.with_features(x)
    found = gradient_shares(q.squeeze(-1) - target, features, origins)

    def gradient(rows: np.ndarray) -> torch.Tensor:
        errors = critic(x).squeeze(-1) - target
        loss = (errors.square() * torch.from_numpy(rows)).sum() / errors.numel()
        last = torch.autograd.grad(loss, [critic.get_parameter("weight2"), critic.get_parameter("bias2")])
        return torch.cat([part.flatten() for part in last])

    whole = gradient(np.ones(40))
    for origin, name in [(0, "demo"), (1, "intervention"), (3, "online_failure")]:
        part = gradient(origins == origin)
        assert found[f"gradient_norm/{name}"] == pytest.approx(float(part.norm()), rel=1e-4)
        assert found[f"share/{name}"] == pytest.approx(float(part @ whole / (whole @ whole)), rel=1e-3)
        cosine = float(part @ whole / (whole.norm() * part.norm()))
        assert found[f"cosine/{name}"] == pytest.approx(cosine, rel=1e-3)
    assert sum(value for name, value in found.items() if name.startswith("share/")) == pytest.approx(1.0)
    assert "share/online_success" not in found


def test_the_features_are_what_the_last_layer_reads():
    critic = EnsembleMLP(2, 5, 1, (16, 8))
    x = torch.randn(40, 5)
    q, features = critic.with_features(x)
    assert torch.equal(q, critic(x).detach())
    weight, bias = critic.get_parameter("weight2").detach(), critic.get_parameter("bias2").detach()
    assert torch.allclose(torch.bmm(features, weight.transpose(1, 2)) + bias.unsqueeze(1), q, atol=1e-5)


def test_where_nothing_errs_there_is_no_share():
    found = shares(batch((4, Origin.DEMO, 1.0, 1.0, 1.0), (4, Origin.ONLINE_FAILURE, 0.0, 0.0, 0.0)))
    assert found == {"gradient_norm/demo": 0.0, "gradient_norm/online_failure": 0.0}
    silent = batch_scalars(batch((4, Origin.DEMO, 1.0, 1.0, 1.0)), **LIMITS)
    assert silent["effective_samples"] == 0.0 and "effective/demo" not in silent


def test_one_origin_alone_has_all_of_it_and_no_gap():
    alone = batch((8, Origin.INTERVENTION, 0.0, 0.5, 0.2))
    assert shares(alone)["share/intervention"] == pytest.approx(1.0)
    found = batch_scalars(alone, **LIMITS)
    assert found["effective/intervention"] == 1.0 and "q_gap" not in found and "q_mean/demo" not in found


def test_the_gap_is_between_demonstrations_and_what_the_policy_did_alone():
    found = batch_scalars(
        batch(
            (2, Origin.DEMO, 0.0, 0.0, 0.9),
            (5, Origin.INTERVENTION, 0.0, 0.0, 0.7),
            (1, Origin.ONLINE_SUCCESS, 0.0, 0.0, 0.4),
            (3, Origin.ONLINE_FAILURE, 0.0, 0.0, 0.0),
        ),
        **LIMITS,
    )
    assert found["q_gap"] == pytest.approx(0.9 - 0.1)


def test_td_errors_are_of_the_critics_mean_and_have_no_sign():
    q = np.array([[0.0, 0.2, 0.4], [0.2, 0.4, 0.6]])
    judged = JudgedBatch(q, np.array([0.2, 0.3, 1.0]), np.zeros(3), np.zeros(3, np.int8))
    found = batch_scalars(judged, **LIMITS)
    assert found["td_median/demo"] == pytest.approx(0.1)
    assert found["td_p95/demo"] == pytest.approx(0.1 + 0.9 * 0.4)


def test_any_critic_above_the_ceiling_is_counted():
    q = np.array([[1.04, 0.0, 0.5], [1.06, 0.0, 2.0]])
    judged = JudgedBatch(q, np.zeros(3), np.zeros(3), np.zeros(3, np.int8))
    assert batch_scalars(judged, **LIMITS)["above_ceiling"] == pytest.approx(2 / 6)


def test_a_histogram_loses_no_sample():
    found = q_histogram(
        batch(
            (3, Origin.DEMO, 0.0, 0.0, 0.51),
            (2, Origin.DEMO, 0.0, 0.0, 9.0),
            (1, Origin.DEMO, 0.0, 0.0, -9.0),
        )
    )
    assert list(found["counts"]) == ["demo"]
    counts = found["counts"]["demo"]
    assert len(counts) == len(found["edges"]) - 1 and sum(counts) == 6
    assert counts[0] == 1 and counts[-1] == 2
    inside = counts.index(3)
    assert found["edges"][inside] <= 0.51 < found["edges"][inside + 1]
    assert found["edges"] == pytest.approx(HISTOGRAM_EDGES.tolist())
