"""Questions that are about something: of the project that there is, and of a time that does not always run backwards."""

import schemathesis

DAY = 86_400_000
LAST = 253_402_300_799_999


def is_time(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LAST


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    body = dict(body)
    # A wrong project is wrong in the same way each time, so one in a few is enough.
    if isinstance(body.get("project"), str) and len(body["project"]) % 8:
        body["project"] = "shop"
    start, end = body.get("from"), body.get("to")
    if is_time(start) and is_time(end) and (start + end) % 8:
        start = min(start, LAST - 40 * DAY)
        body["from"], body["to"] = start, start + 1 + end % (40 * DAY)
    return body
