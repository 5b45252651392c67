"""The two fine-tunings through LoRA: what they leave is a plain model, in which only the targets have changed."""

import torch

from groundup.train.checkpoint import load_classifier, load_model


def changed_layers(trunk, before):
    return {
        name.split(".")[-2]
        for name, tensor in trunk.state_dict().items()
        if not torch.equal(tensor, before.state_dict()[name])
    }


def test_both_leave_merged_models_of_the_usual_form(finished):
    lora = {"rank": 2, "alpha": 8.0, "targets": ["query_key_value", "narrow"]}
    classifier = {**finished.params["finetune_cls"], "language_steps": 0, "learning_rate": 0.01}
    finished.set(
        model__context_length=256,
        pretrain__batch_size=1,
        finetune_cls={**classifier, "trainable": "lora", "lora": lora},
        finetune_instruct={**finished.params["finetune_instruct"], "trainable": "lora", "lora": lora},
    )
    for stage in ("pretrain", "finetune-cls", "finetune-instruct", "evaluate"):
        result = finished.run(stage)
        assert result.exit_code == 0, result.output
    models = finished.folder / "models"
    pretrained, _, _ = load_model(models / "pretrained")
    instructed, _, _ = load_model(models / "instructed")
    assert changed_layers(instructed, pretrained) == {"query_key_value", "narrow"}
    classifier, _, _ = load_classifier(models / "classifier")
    assert changed_layers(classifier.trunk, pretrained) == {"query_key_value", "narrow"}


def test_what_cannot_train_is_refused_before_anything_starts(project):
    lora = {"rank": 0, "alpha": 8.0, "targets": []}
    for section in ("finetune_cls", "finetune_instruct"):
        project.set(**{section: {**project.params[section], "trainable": "lora", "lora": lora}})
    lines = project.refuses("pretrain", problems=3)
    assert [line.split("; ")[0] for line in lines] == [
        "params.yaml: finetune_cls.lora.targets is empty",
        "params.yaml: finetune_instruct.lora.targets is empty",
        "params.yaml: finetune_instruct.lora.rank 0 trains nothing",
    ]
