from mlflow.models import set_model

from groundup.registry.serving import Classifier

set_model(Classifier())
