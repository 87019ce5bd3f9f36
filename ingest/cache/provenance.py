"""Which source a cache's files come from: a cache holds files of one source, and another source is refused.

The first run that gets an answer sets the source, also for a cache that an earlier version of this program made. The
source may change as long as nothing is stored.
"""

from ingest.cache.manifest import Manifest
from ingest.errors import UsageError
from ingest.settings import SourceSettings


def refuse_other(manifest: Manifest, source: SourceSettings) -> None:
    """Raise UsageError if the cache holds files of another source: two markets would be mixed."""
    known = manifest.source.name()
    if known in (None, source.name) or not manifest.source.holds_anything():
        return
    raise UsageError(
        f"the cache {manifest.database.path.parent} holds files of {known}, and [source] is {source.name}: point "
        f'[cache] root to another folder; or, if both have the same files, set [source] same_as = "{known}"'
    )


def adopt_source(manifest: Manifest, source: SourceSettings) -> None:
    """Record this source, which `refuse_other` accepts, as the cache's own. Another source's answers are forgotten."""
    if manifest.source.name() != source.name:
        manifest.source.adopt(source.name)
