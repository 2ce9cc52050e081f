"""What the served models were asked, how they did, and what people thought of the answers."""

from luthier.monitoring.corrections import Correction, corrections
from luthier.monitoring.request_log import RequestLog
from luthier.monitoring.traffic import Figures, ModelTraffic, Percentiles, Traffic, traffic
from luthier.monitoring.traffic_text import render_traffic

__all__ = [
    "Correction",
    "Figures",
    "ModelTraffic",
    "Percentiles",
    "RequestLog",
    "Traffic",
    "corrections",
    "render_traffic",
    "traffic",
]
