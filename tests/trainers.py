"""The training nodes, run as the host runs them, for a few quick steps."""

import runs

QUICK = {"steps": 2, "learning_rate": 1e-2, "embedding_learning_rate": 1e-2}


def extract(models, dataset, **values):
    from purecc_pack.nodes import TrainExtractor

    given = {"model": models.model, "clip": models.clip, "dataset": dataset, **QUICK, **values}
    return runs.execute(TrainExtractor, **given).args


def learn(models, dataset, **values):
    from purecc_pack.nodes import PureLearning

    given = {"model": models.model, "clip": models.clip, "dataset": dataset, "pool_images": 2, **QUICK, **values}
    return runs.execute(PureLearning, **given).args
