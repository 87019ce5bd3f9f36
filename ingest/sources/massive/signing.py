"""The keys that sign requests: obtained within a time limit, before a cache is locked.

A program that supplies keys (credential_process) is killed, with all that it has started, if it takes longer, or if
nobody waits for it any more. At a terminal it shares our process group, since it may prompt for something there; then
its own children are its own business. Nothing here writes to disk.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
from aiobotocore.credentials import AioAssumeRoleProvider, AioProcessProvider
from aiobotocore.session import AioSession
from botocore.exceptions import CredentialRetrievalError

from ingest.sources.massive.s3_errors import translating

_BURIAL_S = 2.0


class TooSlow(CredentialRetrievalError):  # type: ignore[misc]
    """Keys that did not come in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(provider="credential_process", error_msg=f"it returned no keys within {seconds:g} s")


async def signing_keys(core: AioSession, seconds: float) -> Any:
    """The keys of a session's profile, ready to sign with; None if it has none.

    Raises TooSlow, what botocore raises, and SourceError if a service does not supply them.
    """
    _limit_programs(core, seconds)
    try:
        with anyio.fail_after(seconds):
            keys = await core.get_credentials()
            if keys is not None:  # a role's keys are requested only here, over the network
                with translating("the keys", keys):
                    await keys.get_frozen_credentials()
    except TimeoutError as error:
        raise TooSlow(seconds) from error
    return keys


def _limit_programs(core: AioSession, seconds: float) -> None:
    """Make botocore start programs through us, wherever it does so: for a profile, or for one that it builds on."""
    programs = _Programs(seconds)
    for provider in core.get_component("credential_provider").providers:
        if isinstance(provider, AioProcessProvider):
            provider._popen = programs.start
        if isinstance(provider, AioAssumeRoleProvider):
            _limit_builder(provider._profile_provider_builder, programs)


def _limit_builder(builder: Any, programs: "_Programs") -> None:
    make = builder._create_process_provider

    def limited(*args: Any, **named: Any) -> AioProcessProvider:
        provider = make(*args, **named)
        provider._popen = programs.start
        return provider

    builder._create_process_provider = limited


@dataclass(frozen=True, slots=True)
class _Programs:
    """Starts programs with a time limit of so many seconds each, also those that run again in the middle of a run."""

    seconds: float

    async def start(self, *command: str, **pipes: Any) -> "_Program":
        """Like `asyncio.create_subprocess_exec`."""
        apart = os.name == "posix" and not os.isatty(0)
        process = await asyncio.create_subprocess_exec(*command, start_new_session=apart, **pipes)
        return _Program(process, self.seconds, apart)


@dataclass(frozen=True, slots=True)
class _Program:
    """A running program; `apart` in a session of its own, with all that it starts."""

    process: asyncio.subprocess.Process
    seconds: float
    apart: bool

    @property
    def returncode(self) -> int | None:
        """See `asyncio.subprocess.Process`."""
        return self.process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Its output; raises TooSlow."""
        try:
            with anyio.fail_after(self.seconds):
                return await self.process.communicate()
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise TooSlow(self.seconds) from error
            raise

    async def _end(self) -> None:
        with suppress(ProcessLookupError):
            if self.apart:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        with anyio.move_on_after(_BURIAL_S, shield=True):
            await self.process.wait()
