"""What `ingest.run(executor=…)` refuses before anything is asked of it."""

from types import SimpleNamespace

import pytest

from ingest.api.downloads import engine_for
from ingest.errors import UsageError
from ingest.settings import Settings


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (42, "42 is not a concurrent.futures.Executor"),
        (SimpleNamespace(submit=len, get_executor=len), r"pass client.get_executor\(pure=False\)"),
    ],
)
def test_what_is_no_executor_is_refused(executor, said):
    with pytest.raises(UsageError, match=said):
        engine_for(Settings(), executor)
