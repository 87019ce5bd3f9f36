"""Caches with their parts in a bucket, whose lake is there, too, or in the cache's folder."""

from bucket_kit import BucketPlace

from ingest.settings.sections.lake import Lake


class StoredLake(BucketPlace):
    """A cache whose lake is in the store of its parts; `where` is its [lake] place."""

    where = "parts"

    def settings(self, **chosen):
        made = super().settings(**chosen)
        return made.model_copy(update={"lake": Lake(enabled=self.lake, place=self.where, iceberg=self.iceberg)})

    def environment(self, **more):
        return super().environment(**{"INGEST_LAKE__PLACE": self.where, **more})

    def config(self, lists=(), tickers=()):
        path = super().config(lists, tickers)
        path.write_text(path.read_text().replace("[lake]\n", f'[lake]\nplace = "{self.where}"\n'))
        return path


class LocalLake(StoredLake):
    """The same with its lake in the cache's folder."""

    where = "local"
