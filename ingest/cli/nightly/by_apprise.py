"""Messages through the library apprise, which knows mail, chats and phones; the extra `notify` installs it."""

import logging

from ingest.cli.nightly.ending import Ending

MISSING = "the library apprise is not installed: pip install 'ingest[notify]'"

_SHOWN = 1500
"""Characters of the last lines: it is read on a phone."""


def send(url: str, ending: Ending) -> str:
    """Send to one URL; returns what went wrong, without the URL."""
    try:
        from apprise import Apprise, NotifyType
    except ImportError:
        return MISSING
    _silence()
    service = Apprise()
    if not service.add(url):
        return "apprise does not know such a URL"
    kind = NotifyType.FAILURE if ending.failed else NotifyType.SUCCESS
    sent = service.notify(body=ending.lines[-_SHOWN:] or ending.summary, title=ending.summary, notify_type=kind)
    return "" if sent else "it was not accepted; `apprise -vv` says why"


def _silence() -> None:
    """What apprise logs quotes URLs."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]
