"""What the errors of the store's library mean, in one place: their types say little, so their texts are read.

Nothing of an answer's body gets into a message but S3's code: it may repeat a signature or a key.
"""

import errno
import re
from dataclasses import dataclass

from ingest.errors import StoreRefused, StoreUnavailable

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_WORD = r"((?=[A-Z]*[a-z])[A-Za-z]{3,48}\d{0,3})"
"""A code is of words, and so has small letters; an access key has none."""

_CODE = re.compile(rf"<Code>{_WORD}</Code>|\(code: {_WORD}\)")
_SYSTEM = re.compile(r'kind: \w+,\s+(?:message|error): "([^"\\]{1,80})"')
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w{1,48})")
_BODY = "\n\nDebug source:"

_PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 509})
_PASSING_CODE = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
_TRANSPORT = {"kind: Timeout": "no answer in time", "kind: Connect": "no connection", "kind: ": "connection lost"}
_UNREADABLE = "an answer that cannot be read"
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})


class ConditionFailed(StoreRefused):
    """What a put was to create exists, or what it was to replace is another version or missing."""


class BeyondEnd(StoreRefused):
    """A range begins behind the end of its object."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of the library: its class, the status and S3's code of the answer (0 and "" without), its text."""

    kind: str
    status: int
    code: str
    text: str
    system: str

    @property
    def reason(self) -> str:
        """The fault in a few words, without anything that may be secret."""
        if self.status or self.code:
            return " ".join(filter(None, (f"HTTP {self.status}" if self.status else "", self.code)))
        return self.system or next((said for kind, said in _TRANSPORT.items() if kind in self.text), _UNREADABLE)


def fault_of(error: Exception) -> Fault:
    """What an error of the library says."""
    text = str(error)
    head = text.partition(_BODY)[0]
    status, code, system = _STATUS.search(head), _CODE.search(head), _SYSTEM.search(text)
    return Fault(
        type(error).__name__,
        int(status[1]) if status else 0,
        code[code.lastindex or 0] if code else "",
        text,
        system[1] if system else "",
    )


def translated(error: Exception, described: str, url: str) -> Exception:
    """The exception to raise in place of the library's.

    StoreUnavailable may pass; StoreRefused does not. FileNotFoundError names the object; ConditionFailed and BeyondEnd
    are answers that the caller of a request expects. An error that is none of the library's is returned as it is.
    """
    fault = fault_of(error)
    if _is_foreign(error):
        return error
    expected = _expected(fault, described)
    if expected is not None:
        return expected
    if _may_pass(fault):
        return StoreUnavailable(f"the store does not do what was asked of {described}: {fault.reason}")
    return StoreRefused(_refusal(fault, url))


def not_taken(error: Exception, url: str) -> StoreRefused:
    """The exception to raise where a put is answered like a read of what is missing: by no store, or of no bucket."""
    return StoreRefused(_refusal(fault_of(error), url))


def _is_foreign(error: Exception) -> bool:
    from obstore.exceptions import BaseError

    return not isinstance(error, BaseError | FileNotFoundError)


def _expected(fault: Fault, described: str) -> Exception | None:
    """An answer to what was asked, and not a fault of the store."""
    if fault.code in _NO_BUCKET:
        return None
    if fault.kind == "FileNotFoundError":
        return FileNotFoundError(errno.ENOENT, "no such object", described)
    if fault.kind == "PreconditionError" and fault.status in {404, 412}:
        return ConditionFailed(f"the store refuses a condition of a request for {described}")
    if fault.kind == "AlreadyExistsError" and (fault.status != 409 or fault.code == "BlobAlreadyExists"):
        return ConditionFailed(f"the store refuses a condition of a request for {described}")
    return BeyondEnd(f"{described} has no such range of bytes") if fault.status == 416 else None


def _may_pass(fault: Fault) -> bool:
    if fault.status in _PASSING_STATUS or fault.code in _PASSING_CODE:
        return True
    answered = fault.status or fault.code or fault.kind != "GenericError"
    return not answered and not _is_redirect(fault) and not _CERTIFICATE.search(fault.text)


def _is_redirect(fault: Fault) -> bool:
    return "redirect" in fault.text or fault.status in {301, 307, 308}


def _refusal(fault: Fault, url: str) -> str:
    if fault.code in _NO_BUCKET or fault.kind == "FileNotFoundError":
        return f"no bucket for {url}: create it, or name another one"
    if fault.code in _SKEWED:
        return f"the store of {url} refuses requests that are not of its time: set the clock of this computer"
    if fault.code.startswith("ExpiredToken"):
        return f"the keys for {url} have expired"
    if _is_redirect(fault):
        return f"{url} is in another region, or elsewhere: [store] region and endpoint say where"
    if certificate := _CERTIFICATE.search(fault.text):
        return f"the certificate of the store of {url} is not valid: {certificate[1]}"
    if fault.status in {401, 403} or fault.code in {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
        return f"the store refuses the keys for {url}, or its bucket: {fault.reason}"
    if fault.kind == "UnauthenticatedError":
        return f"the keys for {url} cannot be obtained"
    return f"the store of {url} refuses the request: {fault.reason}"
