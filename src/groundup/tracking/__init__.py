"""The mirror of a run in MLflow: a parent run for each pipeline, a child run for each stage.

DVC's files hold the truth; this mirror can be built again from them. So nothing here may stop a stage or slow it: a
server that fails once is warned about once and left alone until the next stage, and `groundup track` fills the gaps.
Only this package imports mlflow, and `groundup.registry`, whose work it is to make models for it.
"""
