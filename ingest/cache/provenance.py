"""Where a cache's files come from: it holds those of one source, and another one is refused.

A cache learns its source from the first run that is answered; one of a version before this, too. It may change as long
as nothing is held.
"""

from ingest.cache.manifest import Manifest
from ingest.errors import UsageError
from ingest.settings import SourceSettings


def refuse_other(manifest: Manifest, source: SourceSettings) -> None:
    """Raise UsageError where the cache holds files of another source: two markets would be mixed."""
    known = manifest.source.name()
    if known in (None, source.name) or not manifest.source.holds_anything():
        return
    raise UsageError(
        f"the cache {manifest.database.path.parent} holds files of {known}, and [source] is {source.name}: point "
        f'[cache] root to another folder; or, if both have the same files, set [source] same_as = "{known}"'
    )


def adopt_source(manifest: Manifest, source: SourceSettings) -> None:
    """Make a source, which the cache must not refuse, the cache's own. What another one answered is forgotten."""
    if manifest.source.name() != source.name:
        manifest.source.adopt(source.name)
