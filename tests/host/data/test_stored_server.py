"""The host's training datasets in a real server: made and saved by one prompt, loaded and trained on by the next."""


def test_a_saved_training_dataset_becomes_a_concept_dataset(server):
    base = {"class_type": "PureCCTinyCheckpoint", "inputs": {}}
    concept = {"class_type": "PureCCExampleConcept", "inputs": {}}
    coded = {"images": ["concept", 0], "texts": ["concept", 1], "vae": ["base", 2], "clip": ["base", 1]}
    made = {"class_type": "MakeTrainingDataset", "inputs": coded}
    kept = {"latents": ["made", 0], "conditioning": ["made", 1], "folder_name": "robots", "shard_size": 2}
    saved = {"class_type": "SaveTrainingDataset", "inputs": kept}
    server.client.run({"base": base, "concept": concept, "made": made, "saved": saved})
    form = {"class_word": "robot", "kind": "instance", "resolution": 0, "crop": "center", "flip": False, "crops": 0}
    given = {"latents": ["loaded", 0], "captions": ["concept", 1], "vae": ["base", 2]}
    loaded = {"class_type": "LoadTrainingDataset", "inputs": {"folder_name": "robots"}}
    dataset = {"class_type": "PureCCConceptDataset", "inputs": {**form, **given}}
    texts = []
    outputs = server.client.run(
        {"base": base, "concept": concept, "loaded": loaded, "dataset": dataset},
        lambda name, data: texts.append(data["text"]) if name == "progress_text" else None,
    )
    assert len(outputs["dataset"]["images"]) == 1, "the contact sheet"
    assert any("5 references, 96 x 96 pixels" in text for text in texts), texts
