"""The tensors of a traced step against an independent computation."""

from pathlib import Path

import pytest
import runs
import safetensors.torch
import torch
from loop import pure

pytestmark = pytest.mark.slow


class TestTheTrace:
    """An independent computation on the tensors of a traced step."""

    @pytest.fixture(scope="class")
    def trace(self, learned, comfyui):
        """Step 2 of stage 2, read back from the file that the node writes."""
        import folder_paths

        from purecc_pack.purecc.host.training.traces import save_traces

        save_traces("independent", {2: learned.traces[2]}, lambda message: None)
        folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
        (path,) = folder.glob("independent_step2_*.safetensors")
        return safetensors.torch.load_file(path)

    def test_losses_and_scale_in_float64(self, trace, learned):
        v = {k: t.double() for k, t in trace.items()}
        r_c = (v["v.learner.complete"] - v["v.learner.base"]).flatten(1)
        r_t = (v["v.extractor.target"] - v["v.extractor.empty"]).flatten(1)
        scale = (r_c * r_t).sum(1) / (r_t * r_t).sum(1)
        concept = (v["target"] - v["v.learner.complete"]).flatten(1).square().mean(1)
        guided = v["v.learner.base"].flatten(1) + scale[:, None] * r_t
        off = (guided - v["v.learner.complete"].flatten(1)).square().mean(1)
        near = {"rtol": 1e-4, "atol": 1e-6, "check_dtype": False}
        torch.testing.assert_close(trace["lambda"], scale, **near)
        torch.testing.assert_close(trace["loss.concept"], concept, **near)
        torch.testing.assert_close(trace["loss.pure"], off, **near)
        torch.testing.assert_close(trace["loss.total"], concept + off, **near)
        torch.testing.assert_close(trace["cosine"], torch.cosine_similarity(r_c, r_t), **near)
        step = learned.history.steps[1]
        assert step.losses["total"] == pytest.approx(float((concept + off).mean()), rel=1e-4)
        assert step.scales == pytest.approx(scale.tolist(), rel=1e-4)
        assert float(off.min()) > 0 and float(scale.abs().min()) > 0

    def test_velocities_of_a_hand_merged_base(self, trace, checkpoint, models, dataset, extractor):
        """θ2 as it was before step 2, and θ1: LoRA added to the weights of a fresh base, vectors put in by hooks."""
        theta2 = runs.customise(models, dataset, runs.job("pure", pure(), steps=1), extractor=extractor).adapter
        items = runs.items_of(models, dataset, trace)
        complete, base = [i.texts.complete for i in items], [i.texts.base for i in items]
        target = [i.texts.target for i in items]
        near = {"rtol": 1e-3, "atol": 1e-4}
        for name, adapter, texts in (
            ("v.learner.complete", theta2, complete),
            ("v.learner.base", theta2, base),
            ("v.extractor.target", extractor, target),
            ("v.extractor.empty", extractor, ["", ""]),
        ):
            expected = by_hand(checkpoint, adapter, trace["x_t"], trace["t"], texts)
            torch.testing.assert_close(trace[name], expected, **near, msg=lambda m, name=name: f"{name}: {m}")
        x0 = torch.cat([models.model.model.process_latent_in(i.latents) for i in items])
        t = trace["t"].view(-1, 1, 1, 1)
        torch.testing.assert_close(trace["x_t"], (1 - t) * x0 + t * (trace["target"] + x0), rtol=1e-5, atol=1e-5)


def by_hand(checkpoint, adapter, x_t, t, texts):
    """v with an adapter, in plain PyTorch on the network alone."""
    import folder_paths

    path = Path(folder_paths.get_folder_paths("embeddings")[0]) / "by_hand.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({k: v.contiguous() for k, v in adapter.tokens.items()}, path)
    fresh = runs.load(checkpoint)
    network = fresh.model.model.diffusion_model.float()
    with torch.inference_mode():
        for key, up in adapter.lora.items():
            if key.endswith(".lora_up.weight"):
                stem = key.removesuffix(".lora_up.weight")
                down, alpha = adapter.lora[f"{stem}.lora_down.weight"], adapter.lora[f"{stem}.alpha"]
                layer = network.get_submodule(stem.removeprefix("diffusion_model."))
                layer.weight += alpha / len(down) * (up @ down)
        out = []
        for x, time, text in zip(x_t.split(1), t.split(1), texts, strict=True):
            cond, more = runs.encode(fresh.clip, text.replace("[v]", "embedding:by_hand"))[0]
            row = text.split().index("[v]") + 1 if "[v]" in text else None  # one token a word, after the start
            handles = []
            for block, vector in zip(network.joint_blocks, adapter.layers, strict=True):

                def put(_, args, vector=vector, row=row):
                    stream = args[0].clone()
                    if row is not None:
                        stream[:, row] = vector
                    return (stream, *args[1:])

                handles.append(block.register_forward_pre_hook(put))
            out.append(network(x, time * 1000, context=cond, y=more["pooled_output"]))
            for handle in handles:
                handle.remove()
    return torch.cat(out).clone()
