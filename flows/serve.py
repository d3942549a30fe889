"""Every deployment of prefect.yaml, served by this process to the server that PREFECT_API_URL names."""

from pathlib import Path
from typing import Any

import yaml
from prefect import serve
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from fradect.settings import PROJECT


def deployments(declared: Path) -> list[RunnerDeployment]:
    """What prefect.yaml declares, as deployments that this process runs itself."""
    document: dict[str, Any] = yaml.safe_load(declared.read_text())
    return [_deployment(entry) for entry in document["deployments"]]


def _deployment(entry: dict[str, Any]) -> RunnerDeployment:
    schedules = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s["cron"], timezone=s["timezone"]), slug=s["slug"], active=s.get("active", True)
        )
        for s in entry.get("schedules", [])
    ]
    return RunnerDeployment.from_entrypoint(
        entry["entrypoint"],
        name=entry["name"],
        description=entry["description"],
        parameters=entry.get("parameters", {}),
        schedules=schedules,
        concurrency_limit=entry.get("concurrency_limit"),
    )


if __name__ == "__main__":
    serve(*deployments(PROJECT / "prefect.yaml"))
