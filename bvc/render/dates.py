"""Dates of commits as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

_STEPS = ((60, "second"), (60, "minute"), (24, "hour"), (14, "day"), (5, "week"), (12, "month"))
_LENGTHS = (1, 60, 3600, 86400, 604800, 2629800)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(seconds: int, offset: int) -> datetime:
    """The date of `seconds` since the epoch in a zone `offset` seconds east; what no calendar holds is the epoch."""
    try:
        return datetime.fromtimestamp(seconds, timezone(timedelta(seconds=offset)))
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def git_date(seconds: int, offset: int) -> str:
    """As `git log` prints it: `Mon Nov 23 13:07:01 2026 +0000`."""
    day = moment(seconds, offset)
    return f"{_DAYS[day.weekday()]} {_MONTHS[day.month - 1]} {day.day} {day:%H:%M:%S} {day.year} {day:%z}"


def iso_date(seconds: int, offset: int) -> str:
    """ISO 8601 with the zone: `2026-11-23T13:07:01+00:00`."""
    return moment(seconds, offset).isoformat()


def relative_date(seconds: int, now: float) -> str:
    """How long ago, in one unit: `3 hours ago`."""
    ago = int(now - seconds)
    if ago < 0:
        return "in the future"
    for (most, unit), length in zip(_STEPS, _LENGTHS, strict=True):
        count = ago // length
        if count < most:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    years = ago // 31557600
    return f"{years} year{'' if years == 1 else 's'} ago"
