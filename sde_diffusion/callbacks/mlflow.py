"""The reports, the numbers and the pictures of a run for MLflow, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sde_diffusion.callbacks.tracker import Tracker, missing
from sde_diffusion.io.plain import flat


class MLflow(Tracker):
    """Sends to the server or the folder that MLFLOW_TRACKING_URI names, MLflow's own default without it.

    The project is MLflow's experiment. Its active run, which is global, is not touched.
    """

    service = "mlflow"

    def imported(self) -> Any:
        """The package mlflow."""
        try:
            import mlflow
        except ImportError as error:
            raise missing("mlflow") from error
        return mlflow

    def begin(self, config: dict[str, Any]) -> Any:
        """The client; the run is made with the configuration as its parameters, or runs again."""
        client, known = self.package.MlflowClient(), self.identity()
        if known is not None:
            client.update_run(known, status="RUNNING")
            return client
        made = client.create_run(self._experiment(client), run_name=self.folder.name).info.run_id
        for name, value in flat(config).items():
            client.log_param(made, name, value)
        self.identity(made)
        return client

    def send(self, numbers: dict[str, float], pictures: dict[str, Path], step: int) -> None:
        """A metric for each number; pictures as artifacts."""
        client: Any = self.run
        for name, value in numbers.items():
            client.log_metric(self.identity(), name, float(value), step=step)
        for name, path in pictures.items():
            client.log_artifact(self.identity(), str(path), artifact_path=name)

    def end(self) -> None:
        """The run is over, as far as MLflow is concerned, until it goes on."""
        self.run.set_terminated(self.identity())  # pyright: ignore[reportOptionalMemberAccess]

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.project)
        return client.create_experiment(self.project) if found is None else found.experiment_id
