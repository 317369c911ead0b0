"""Bytes that a computation holds, and networks without data."""

import torch


def test_live_bytes_are_what_autograd_keeps():
    """Beside the weights; on the CPU and, with nothing computed, on the meta device."""
    from purecc_pack.purecc.training.live_bytes import LiveBytes, meta_twin

    layers = [m for _ in range(3) for m in (torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.LayerNorm(64))]
    network = torch.nn.Sequential(*layers)
    network[0].weight.requires_grad_(False)
    counted = []
    for model, device in ((network, "cpu"), (meta_twin(network), "meta")):
        own = {w.untyped_storage()._cdata for w in model.parameters()}
        kept = {}

        def keep(saved, own=own, kept=kept):
            if (storage := saved.untyped_storage())._cdata not in own:
                kept[storage._cdata] = storage
            return saved

        x = torch.ones(32, 64, device=device)
        kept[x.untyped_storage()._cdata] = x.untyped_storage()
        with LiveBytes() as live, torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            out = model(x)
            after = live.live
        kept[out.untyped_storage()._cdata] = out.untyped_storage()
        assert after == sum(s.nbytes() for s in kept.values()) - x.nbytes, "what was there before is not counted"
        kept.clear()
        with live:
            out.sum().backward()
            del out
        gradients = sum(w.nbytes for w in model.parameters() if w.requires_grad)
        assert live.live == gradients and live.peak > after
        counted.append((after, live.peak))
    assert counted[0] == counted[1]


def test_a_twin_has_shapes_and_no_data():
    from purecc_pack.purecc.training.live_bytes import meta_twin

    network = torch.nn.Sequential(torch.nn.Linear(3, 5, dtype=torch.bfloat16), torch.nn.BatchNorm1d(5))
    network[0].weight.requires_grad_(False)
    twin = meta_twin(network)
    for ours, theirs in zip(
        [*twin.parameters(), *twin.buffers()], [*network.parameters(), *network.buffers()], strict=True
    ):
        assert ours.is_meta and not theirs.is_meta and ours.shape == theirs.shape and ours.dtype == theirs.dtype
        assert ours.requires_grad == theirs.requires_grad
