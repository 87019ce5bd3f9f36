"""A session of botocore with the keys that sign requests, whatever supplies them. Nothing here writes to disk."""

from typing import Any

import aioboto3
from botocore import exceptions as boto
from botocore.configprovider import ConstantProvider

from ingest.errors import UsageError
from ingest.settings import SourceSettings
from ingest.sources.massive.origins import (
    Origin,
    credentials_file,
    half_a_pair,
    has_section,
    no_keys,
    origin_of,
    refuse_flawed,
)
from ingest.sources.massive.signing import TooSlow, signing_keys
from ingest.sources.massive.transport import Models, Session


async def open_session(settings: SourceSettings) -> tuple[Any, Any]:
    """A session of the profile or of the environment's keys, and the keys.

    Raises UsageError if there are no keys, or they cannot be right; SourceError if a service does not supply them.
    """
    origin = origin_of(settings.profile)
    if origin:
        refuse_flawed(origin)
    core = _core(settings.profile, origin)
    try:
        core.register_component("data_loader", Models.of(core))
        _ = core.trust  # whoever supplies keys must be verified, too
        keys = await signing_keys(core, settings.keys_timeout_s)
    except TooSlow:
        raise UsageError(
            f"the keys of [{settings.profile}] did not arrive within {settings.keys_timeout_s:g} s from the program "
            "(credential_process) or the service that the profile names: run it by itself to see why, or raise "
            "[source] keys_timeout_s"
        ) from None
    except (boto.ProfileNotFound, boto.PartialCredentialsError) as error:
        raise _missing(settings.profile, origin) from error
    except boto.CredentialRetrievalError as error:  # botocore's message repeats what a program printed: possibly keys
        who = {"custom-process": "the program that credential_process names fails; run it by itself to see why"}
        why = who.get(error.kwargs["provider"], "the service that the profile names does not return them")
        raise UsageError(
            f"the keys of [{settings.profile}] cannot be read: {why}, or see {credentials_file()}"
        ) from None
    except (boto.BotoCoreError, boto.ClientError, OSError, ValueError, RuntimeError, KeyError, EOFError) as error:
        raise UsageError(
            f"the keys of [{settings.profile}] cannot be read: {error}; see {credentials_file()}"
        ) from error
    if keys is None:
        raise _missing(settings.profile, origin)
    return aioboto3.Session(botocore_session=core), keys


def _core(profile: str, origin: Origin | None) -> Session:
    from_environment = origin is not None and not origin.section
    core = Session(profile=None if from_environment and not has_section(profile) else profile)
    # A profile without keys is an error here: don't search for those of a cloud machine on its network.
    core.set_config_variable("metadata_service_num_attempts", 0)
    # Times stay text: dateutil, botocore's choice, takes a tenth of a request's time to parse two of them.
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    if origin is not None and from_environment:
        core.set_credentials(*origin.pair())
        if not has_section(profile):  # nor is the profile that AWS_PROFILE names any business of these keys
            core.get_component("config_store").set_config_provider("profile", ConstantProvider(None))
    return core


def _missing(profile: str, origin: Origin | None) -> UsageError:
    return half_a_pair(origin) if origin and origin.half else no_keys(profile)
