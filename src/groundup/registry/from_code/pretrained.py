from mlflow.models import set_model

from groundup.registry.serving import Writer

set_model(Writer())
