"""Whether training left the user's models as they were, and a job with all that a run can do."""

import runs


def clean(before, alive, models):
    """Whether everything is as it was."""
    from comfy import model_management

    assert not model_management.in_training
    assert runs.state(models) == before
    assert runs.census() == alive
    ours = {id(p.model) for p in models.patchers}
    model_management.cleanup_models_gc()
    for loaded in model_management.current_loaded_models:
        assert id(loaded.model.model) in ours


def full_job(**values):
    """Pure learning with drift and samples."""
    from purecc_pack.purecc.method.pure_learning import PureLearning

    return runs.job("pure", PureLearning(), drift_every=2, drift_prompts=("a lake",), sample_every=2, **values)
