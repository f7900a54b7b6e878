"""Writes dst.json: when cron expressions fire in weeks in which the clocks change.

Run by hand: `python3 dst.py > dst.json`. It does not search as the crate does: it looks at every minute of UTC, asks
zoneinfo what the wall clock shows, and compares fields.

An expression with one minute and one hour fires once for each of its wall-clock times: at the first of two, and at the first
moment after a gap. Any other fires whenever the wall clock matches.
"""

import datetime
import json
import sys
import zoneinfo

UTC = datetime.timezone.utc
MINUTE = datetime.timedelta(minutes=1)

# Zone, and days on which its clocks change (or the day after, in UTC).
CHANGES = [
    ("America/New_York", ["2027-03-14", "2027-11-07"]),
    ("Europe/Berlin", ["2026-03-29", "2026-10-25"]),
    ("Australia/Lord_Howe", ["2026-04-04", "2026-10-03"]),  # half an hour
    ("America/Havana", ["2026-03-08", "2026-11-01"]),  # at midnight
    ("Pacific/Auckland", ["2026-04-04", "2026-09-26"]),
]

EXPRESSIONS = [
    "0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "45 1 * * *", "0 2 * * *", "15 2 * * *", "30 2 * * *",
    "45 2 * * *", "0 3 * * *", "0 9 * * *", "*/30 * * * *", "15 * * * *", "0 1,13 * * *", "0,45 2 * * *", "*/20 0-3 * * *",
    "30 2 * * 0", "10 0 * * 6",
]  # fmt: skip


def values(field, low, high):
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            first, _, last = span.partition("-")
            first, last = int(first), int(last or first)
        found.update(range(first, last + 1, int(step or 1)))
    return found


def fires(expr, zone, start, end):
    minute, hour, day, month, weekday = expr.split()
    assert day == month == "*"
    minutes, hours, weekdays = values(minute, 0, 59), values(hour, 0, 23), values(weekday, 0, 6)
    is_fixed = minute.isdigit() and hour.isdigit()

    def matches(wall):
        return wall.minute in minutes and wall.hour in hours and wall.isoweekday() % 7 in weekdays

    found = []
    before = start - MINUTE
    now = start
    while now < end:
        wall = now.astimezone(zone).replace(tzinfo=None)
        expected = before.astimezone(zone).replace(tzinfo=None) + MINUTE
        skipped = []
        while expected < wall:
            skipped.append(expected)
            expected += MINUTE
        is_second = now.astimezone(zone).fold == 1
        if matches(wall) and not (is_fixed and is_second):
            found.append(now)
        elif is_fixed and any(matches(time) for time in skipped):
            found.append(now)
        before, now = now, now + MINUTE
    return [int(time.timestamp()) for time in found]


def main():
    cases = []
    for name, days in CHANGES:
        zone = zoneinfo.ZoneInfo(name)
        for day in days:
            middle = datetime.datetime.fromisoformat(day).replace(tzinfo=UTC)
            start, end = middle - datetime.timedelta(days=1), middle + datetime.timedelta(days=3)
            assert start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset(), (name, day)
            for expr in EXPRESSIONS:
                times = fires(expr, zone, start, end)
                case = {"zone": name, "expr": expr, "from": int(start.timestamp()), "to": int(end.timestamp()), "times": times}
                cases.append(case)
    sys.stdout.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
