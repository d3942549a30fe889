"""The release's model as MLflow keeps it, for `mlflow models serve`."""

from pathlib import Path

import mlflow.xgboost
import xgboost as xgb


def save(model: bytes, folder: Path) -> Path:
    """A model folder; the booster alone, as MLflow's own flavour takes it."""
    booster = xgb.Booster()
    booster.load_model(bytearray(model))
    booster.set_param({"nthread": 1})
    mlflow.xgboost.save_model(booster, folder, model_format="json", pip_requirements=["xgboost"])
    return folder
