"""What `ingest check` says of [notify]: whether everybody can be told, and with a test whether they were."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from ingest.cli.nightly.by_apprise import MISSING
from ingest.cli.nightly.ending import Ending
from ingest.cli.nightly.notifying import Notifier
from ingest.cli.nightly.secrets import scrubbed, secrets_near
from ingest.errors import printable
from ingest.maintenance.checked import Check
from ingest.settings.sections.notify import Notify

_TEST = Ending(0, "ingest check --notify: this is a test", "If you read this, you will hear of runs that fail.\n")


def check_notify(notify: Notify, send: bool) -> Check:
    """Whether everybody of [notify] can be told; `send` sends a test."""
    problems = [*_problems(notify)] or ([*Notifier(notify).test(_TEST)] if send else [])
    if problems:
        secrets = secrets_near(notify)
        return Check("notify", False, "; ".join(scrubbed(one, secrets) for one in problems), "see [notify]")
    told = "a test was sent" if send else "nothing was sent; --notify sends a test"
    return Check("notify", True, f"{', '.join(_ways(notify))}; {told}")


def _ways(notify: Notify) -> Iterator[str]:
    if notify.ping_url:
        yield f"pings {printable(notify.shown('ping_url'))}"
    if notify.on_failure:
        yield f"runs {printable(notify.on_failure[0])} after a failure"
    if notify.apprise:
        named = ", ".join(map(printable, notify.shown("apprise")))
        yield f"sends to {named} {'after each run' if notify.when == 'always' else 'after a failure'}"


def _problems(notify: Notify) -> Iterator[str]:
    if notify.apprise and find_spec("apprise") is None:
        yield MISSING
    if notify.on_failure and shutil.which(notify.on_failure[0]) is None:
        yield f"[notify] on_failure: {printable(notify.on_failure[0])} is not a program that can be run"
