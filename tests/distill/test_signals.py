"""The network of signals: numpy computes what torch trained, views show what pages show, both log odds are joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.signals.calibration import fit_both, made_true
from distill.signals.net import SignalNet as TorchNet
from distill.signals.net import exported
from distill.signals.training import SignalRun, train
from distill.signals.views import Views, shown, varied
from distill.training_set import split
from edge_runtime.leads import LEADS
from edge_runtime.page.layouts import LAYOUTS
from edge_runtime.signal_net import SignalNet, save


@pytest.fixture(scope="module")
def cache() -> DatasetCache:
    rng = np.random.default_rng(0)
    signals = (300 * rng.standard_normal((48, 12, 1000))).astype(np.int16)
    labels = [
        {
            "ecg_id": k, "patient_id": k, "fold": 9 if k % 4 == 0 else 1 + k % 8, "age": 50, "sex": "male",
            "heart_axis": "", "scp_codes": {"NORM" if k % 2 else "IMI": 100.0}, "sl12": [], "heart_rate": 60.0 + k,
        }
        for k in range(48)
    ]  # fmt: skip
    return DatasetCache(signals, labels)


def test_numpy_computes_what_torch_trained(tmp_path):
    torch.manual_seed(0)
    net = TorchNet(5)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    net.eval()
    weights = exported(net, [3, 0])
    save(tmp_path / "signals.npz", weights, ("A", "B"), "weights")
    ours = SignalNet(tmp_path / "signals.npz")
    assert (ours.labels, ours.model) == (("A", "B"), "weights")
    leads = np.random.default_rng(1).standard_normal((4, 24, 1024)).astype(np.float32)
    with torch.no_grad():
        want = net(torch.from_numpy(leads))[0][:, [3, 0]].numpy()
    ours._weights = weights  # before they are rounded to 8 bits
    np.testing.assert_allclose([ours.log_odds(one) for one in leads], want, rtol=1e-4, atol=1e-4)
    rounded = SignalNet(tmp_path / "signals.npz")
    np.testing.assert_allclose([rounded.log_odds(one) for one in leads], want, atol=0.05 * np.abs(want).max())


def test_views_show_what_a_layout_shows():
    seen = shown(LAYOUTS["3x4+rhythm"], 1000, 10.0)
    assert seen.sum(1).tolist() == [250, 1000, *[250] * 10]
    assert seen[LEADS.index("V6"), 750:].all()
    assert shown(LAYOUTS["12x1"], 1000, 10.0).all()
    assert shown(LAYOUTS["3x4"], 1000, 5.0).sum(1).tolist() == [125] * 12


def test_views_depend_on_seed_epoch_and_record_alone(cache):
    rows = np.arange(6)
    first, again, later = (Views(cache, rows, None, 1, epoch) for epoch in (0, 0, 1))
    for k in range(6):
        assert (first[k][0] == again[k][0]).all()
        assert not (first[k][0] == later[k][0]).all()
    mv = np.sin(np.arange(1000) / 9)[None].repeat(12, 0).astype(np.float32)
    changed = varied(mv, np.random.default_rng(3))
    assert changed.shape == mv.shape
    assert np.isfinite(changed).any()


def test_training_goes_on_where_it_was_cut_off(cache, tmp_path):
    data = split(cache, 0, 8)
    run = SignalRun(epochs=2, batch=8, workers=0)
    whole = train(data, run, tmp_path / "whole", torch.device("cpu"))
    saved = (tmp_path / "whole" / "signal-net.csv").read_text().splitlines()
    assert len(saved) == 3
    again = train(data, run, tmp_path / "whole", torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_both_log_odds_are_joined_and_a_page_that_adds_nothing_does_not_count():
    rng = np.random.default_rng(0)
    truth = (rng.random(4000) < 0.3).astype(int)
    page, signals = (truth * 2 - 1 + 1.5 * rng.standard_normal(4000) for _ in range(2))
    both = fit_both(truth, page, signals)
    assert both is not None
    assert both.slope > 0.5
    assert both.signal_slope > 0.5
    assert np.mean(made_true(both, page, signals)) == pytest.approx(truth.mean(), abs=0.01)
    alone = fit_both(truth, -page, signals)
    assert alone is not None
    assert (alone.slope, alone.signal_slope > 0.5) == (0.0, True)
    assert fit_both(truth, page, -signals) is None
    assert fit_both(np.zeros(4000, int), page, signals) is None
