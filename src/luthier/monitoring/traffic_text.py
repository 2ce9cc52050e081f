"""Traffic as text for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from luthier.monitoring.traffic import Figures, Percentiles, Traffic

_HEADINGS = ("model", "answered by", "requests", "errors", "tokens in", "tokens out", "latency", "first token", "rated")


def render_traffic(traffic: Traffic) -> str:
    """A heading and a table with a row for each model and one for all. Without requests it says so."""
    if traffic.first is None or traffic.last is None:
        when = "yet" if traffic.since is None else f"since {_moment(traffic.since)}"
        return f"No requests {when}. Answers are recorded once the server runs: luthier serve"
    rows = [_HEADINGS, *((each.model, each.run, *_cells(each.figures)) for each in traffic.models)]
    if len(traffic.models) > 1:
        rows.append(("all", "", *_cells(traffic.total)))
    period = f"Requests from {_moment(traffic.first)} to {_moment(traffic.last)}; times are half / 19 of 20 within."
    return "\n".join([period, "", *_table(rows), "", _ratings(traffic.total)])


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.requests:,}",
        f"{figures.errors:,}",
        f"{figures.prompt_tokens:,}",
        f"{figures.completion_tokens:,}",
        _seconds(figures.latency),
        _seconds(figures.first_token),
        f"{figures.up:,} up, {figures.down:,} down" if figures.up or figures.down else "–",
    )


def _ratings(total: Figures) -> str:
    if not total.up + total.down:
        return "No answer has been rated yet."
    rated = total.up + total.down
    share = f"{total.up / rated:.0%} of them up"
    return f"{rated:,} of {total.requests:,} answers rated, {share}; {total.corrections:,} corrected."


def _seconds(times: Percentiles | None) -> str:
    return f"{times.p50:.2f} / {times.p95:.2f} s" if times else "–"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of equal width; the first two hold names and stand left, the others figures and stand right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
