"""`luthier monitor`: what the served models were asked and how they did."""

import time
from dataclasses import asdict, dataclass

from luthier.core.errors import LuthierError
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
    """Traffic, latency and ratings of the last hours, or of all time. Raises LuthierError for hours before 1970."""
    now = time.time()
    if hours is not None and not 0 < hours <= now / SECONDS_PER_HOUR:
        raise LuthierError(f"{hours:g} hours cannot be looked back", allowed="a number above 0, since 1970")
    since = None if hours is None else now - hours * SECONDS_PER_HOUR
    return Monitored(traffic(project.store, since))
