"""What became of a request, told as an error of ours.

Nothing of what AWS, botocore or the network says is passed on but codes: the texts may quote a
session token (InvalidSignatureException) or a value (ValidationException).
"""

from collections.abc import Mapping
from http.client import HTTPException
from ssl import SSLCertVerificationError
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    MetadataRetrievalError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from fibonacci.errors import BackendUnavailableError, StorageError, ValueTooLargeError
from fibonacci.plugin.runtime import no_response_error, verification_failure
from fibonacci_dynamodb.line import LineError

MISSING: Final = "ResourceNotFoundException"
IN_USE: Final = "ResourceInUseException"
UNMET: Final = "ConditionalCheckFailedException"

ANSWERS: Final = (MISSING, IN_USE, UNMET)
"""Codes that tell something about the table or the record; whoever asked knows what to do."""

BROKEN: Final = (
    BotoCoreError,
    HTTPException,
    OSError,
    ResponseParserError,
    # What botocore's parser raises, of an answer that is JSON and not what it should be:
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What comes of a request that is not answered as a whole."""

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
PASSING: Final = (
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ReplicatedWriteConflictException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
)
"""Codes of what DynamoDB did not do, and may do a moment later."""

_PROXY: Final = (
    "The proxy wants a user's name and a password: HTTP_PROXY=http://user:password@host:port"
)
_KEYS: Final = (
    "See which credentials boto3 finds with `aws sts get-caller-identity`; the option profile "
    "names another profile"
)
_RIGHTS: Final = (
    "The role needs GetItem, BatchGetItem, Query, PutItem, UpdateItem, DeleteItem and "
    "BatchWriteItem on the table, and with create=true also CreateTable, DescribeTable, "
    "DescribeTimeToLive and UpdateTimeToLive"
)
_CLOCK: Final = "The secret key may be wrong, or this machine's clock"
_SHAPE: Final = (
    "A table of this name, made by somebody else? `python -m fibonacci_dynamodb` prints what it "
    "has to be; the option table names another one"
)

_HINTS: Final[Mapping[str, str]] = {
    "407": _PROXY,
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "ExpiredToken": _KEYS,
    "ExpiredTokenException": _KEYS,
    "IncompleteSignature": _KEYS,
    "InvalidClientTokenId": _KEYS,
    "InvalidSignatureException": _CLOCK,
    "MissingAuthenticationToken": _KEYS,
    "MissingAuthenticationTokenException": _KEYS,
    "SignatureDoesNotMatch": _CLOCK,
    "UnrecognizedClientException": _KEYS,
    "ValidationException": _SHAPE,
    MISSING: "Make it with what `python -m fibonacci_dynamodb` prints, or let create=true do it",
}


def code_of(fault: ClientError) -> str:
    """Return the code of an error that was answered."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def status_of(fault: ClientError) -> int:
    """Return the HTTP status of an error that was answered, 0 where it is not known."""
    status: int = fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


def _was_too_much(fault: ClientError) -> bool:
    """Say whether it was surely not done, and may be a moment later."""
    return code_of(fault) in PASSING or status_of(fault) == 429


def refused(fault: ClientError, where: str, *, changes: bool) -> StorageError:
    """Return the error for a request that was answered with one."""
    code = code_of(fault)
    answer = fault.response.get("ResponseMetadata", {})
    status = status_of(fault)
    told = f"{code or status}, request {answer.get('RequestId', 'unknown')}"
    if _was_too_much(fault):
        return BackendUnavailableError(f"DynamoDB did not do it: {where} ({told})")
    if status >= 500:
        # "The operation may have succeeded or failed", say the docs of HTTP 500.
        return no_response_error(f"it failed ({told})", _server(where), maybe_applied=changes)
    if code == "ValidationException" and "tem size" in str(fault):
        return ValueTooLargeError(f"the record is too large for an item of {where} ({told})")
    hint = f". {_HINTS[code]}" if code in _HINTS else ""
    return StorageError(f"DynamoDB refused it: {where} ({told}){hint}")


def broken(fault: Exception, where: str, *, applied: bool) -> StorageError:
    """Return the error for a request that was not answered as a whole."""
    if isinstance(fault, SSLCertVerificationError):
        return StorageError(
            f"the endpoint of {where} shows certificates that do not hold: "
            f"{verification_failure(fault)}. Behind a proxy of your own, name its authority in "
            "AWS_CA_BUNDLE"
        )
    if isinstance(fault, TimeoutError):
        reason = "the time ran out"
    elif isinstance(fault, LineError):
        reason = str(fault)
    else:
        reason = f"the connection broke ({type(fault).__name__})"
    return no_response_error(reason, _server(where), maybe_applied=applied)


def no_keys(fault: Exception | None, where: str) -> StorageError:
    """Return the error for credentials that could not be had."""
    if isinstance(fault, TimeoutError | HTTPClientError | MetadataRetrievalError):
        return BackendUnavailableError(
            f"the credentials for {where} did not come in time ({type(fault).__name__})"
        )
    if isinstance(fault, ClientError) and (_was_too_much(fault) or status_of(fault) >= 500):
        return BackendUnavailableError(
            f"AWS gave no credentials for {where}, and may a moment later ({code_of(fault)})"
        )
    why = f"could not get credentials ({type(fault).__name__})" if fault else "found no credentials"
    return StorageError(
        f"boto3 {why} for {where}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in to a "
        f"profile, or give the machine a role. {_KEYS}"
    )


def unusable(fault: Exception, where: str) -> StorageError:
    """Return the error for a client that could not be made."""
    if isinstance(fault, ProfileNotFound):
        return StorageError(f"{where}: the AWS configuration files have no such profile. {_KEYS}")
    return StorageError(f"boto3 can't make a client for {where} ({type(fault).__name__})")


def _server(where: str) -> str:
    return f"DynamoDB ({where})"
