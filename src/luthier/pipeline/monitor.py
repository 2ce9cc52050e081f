"""`luthier monitor`: what the served models were asked and how they did."""

import time
from dataclasses import asdict, dataclass

from luthier.monitoring import Traffic, render_traffic, traffic
from luthier.pipeline.project import Project

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Monitored:
    traffic: Traffic

    def to_json(self) -> dict[str, object]:
        return asdict(self.traffic)

    def report(self) -> str:
        """The figures for people."""
        return render_traffic(self.traffic)


def monitor(project: Project, hours: float | None = None) -> Monitored:
    """Traffic, latency and ratings of the last hours, or of all time."""
    since = None if hours is None else time.time() - hours * SECONDS_PER_HOUR
    return Monitored(traffic(project.store, since))
