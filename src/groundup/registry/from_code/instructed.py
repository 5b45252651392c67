from mlflow.models import set_model

from groundup.registry.serving import Follower

set_model(Follower())
