"""Maps errors of boto3, AWS and the network to errors of Fibonacci.

Only codes and class names are passed on: the messages may quote a session token
(InvalidSignatureException) or a value (ValidationException).
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
from fibonacci_dynamodb.connection import TransportError

RESOURCE_NOT_FOUND: Final = "ResourceNotFoundException"
RESOURCE_IN_USE: Final = "ResourceInUseException"
CONDITION_FAILED: Final = "ConditionalCheckFailedException"

HANDLED_CODES: Final = (RESOURCE_NOT_FOUND, RESOURCE_IN_USE, CONDITION_FAILED)
"""Codes about the table or the record, which the caller handles."""

NO_RESPONSE_ERRORS: Final = (
    BotoCoreError,
    HTTPException,
    OSError,
    ResponseParserError,
    # What botocore's parser raises for JSON that is not a response of DynamoDB:
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a request raises that got no complete, valid response."""

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
TRANSIENT_CODES: Final = (
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
"""Codes of requests that had no effect, and may succeed a moment later."""

_PROXY_HINT: Final = (
    "The proxy requires a user name and a password: HTTP_PROXY=http://user:password@host:port"
)
_CREDENTIALS_HINT: Final = (
    "Check which credentials boto3 finds with `aws sts get-caller-identity`; the option profile "
    "selects another profile"
)
_PERMISSIONS_HINT: Final = (
    "The role needs GetItem, BatchGetItem, Query, PutItem, UpdateItem, DeleteItem and "
    "BatchWriteItem on the table, and with create=true also CreateTable, DescribeTable, "
    "DescribeTimeToLive and UpdateTimeToLive"
)
_CLOCK_HINT: Final = "Check the secret key, and this machine's clock"
_SCHEMA_HINT: Final = (
    "The table may belong to another application: `python -m fibonacci_dynamodb` prints the "
    "definition that is needed; the option table selects another table"
)

_HINTS: Final[Mapping[str, str]] = {
    "407": _PROXY_HINT,
    "AccessDenied": _PERMISSIONS_HINT,
    "AccessDeniedException": _PERMISSIONS_HINT,
    "ExpiredToken": _CREDENTIALS_HINT,
    "ExpiredTokenException": _CREDENTIALS_HINT,
    "IncompleteSignature": _CREDENTIALS_HINT,
    "InvalidClientTokenId": _CREDENTIALS_HINT,
    "InvalidSignatureException": _CLOCK_HINT,
    "MissingAuthenticationToken": _CREDENTIALS_HINT,
    "MissingAuthenticationTokenException": _CREDENTIALS_HINT,
    "SignatureDoesNotMatch": _CLOCK_HINT,
    "UnrecognizedClientException": _CREDENTIALS_HINT,
    "ValidationException": _SCHEMA_HINT,
    RESOURCE_NOT_FOUND: (
        "Create it with the definition that `python -m fibonacci_dynamodb` prints, or set "
        "create=true"
    ),
}


def code_of(error: ClientError) -> str:
    """Return the code of an error response."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an error response, 0 if it is not known."""
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


def _is_transient(error: ClientError) -> bool:
    """Return whether the request surely had no effect, and may succeed a moment later."""
    return code_of(error) in TRANSIENT_CODES or status_of(error) == 429


def map_client_error(error: ClientError, table: str, *, changes: bool) -> StorageError:
    """Return the error for an error response; ``changes``: whether it may have altered a record."""
    code = code_of(error)
    metadata = error.response.get("ResponseMetadata", {})
    status = status_of(error)
    reason = f"{code or status}, request {metadata.get('RequestId', 'unknown')}"
    if _is_transient(error):
        return BackendUnavailableError(
            f"DynamoDB temporarily rejected a request to {table} ({reason})"
        )
    if status >= 500:
        # "The operation may have succeeded or failed", say the docs of HTTP 500.
        return no_response_error(
            f"the request failed ({reason})", _server(table), maybe_applied=changes
        )
    if code == "ValidationException" and "tem size" in str(error):
        return ValueTooLargeError(f"the record is too large for an item of {table} ({reason})")
    hint = f". {_HINTS[code]}" if code in _HINTS else ""
    return StorageError(f"DynamoDB refused a request to {table} ({reason}){hint}")


def map_transport_error(error: Exception, table: str, *, maybe_applied: bool) -> StorageError:
    """Return the error for a request that got no complete, valid response."""
    if isinstance(error, SSLCertVerificationError):
        return StorageError(
            f"the endpoint of {table} presented a certificate that could not be verified: "
            f"{verification_failure(error)}. If a proxy has its own authority, name that "
            "authority's file in AWS_CA_BUNDLE"
        )
    if isinstance(error, TimeoutError):
        reason = "the request timed out"
    elif isinstance(error, TransportError):
        reason = str(error)
    else:
        reason = f"the connection failed ({type(error).__name__})"
    return no_response_error(reason, _server(table), maybe_applied=maybe_applied)


def map_credentials_error(error: Exception | None, table: str) -> StorageError:
    """Return the error for credentials that could not be loaded; None: boto3 found none."""
    if isinstance(error, TimeoutError | HTTPClientError | MetadataRetrievalError):
        return BackendUnavailableError(
            f"the credentials for {table} were not loaded in time ({type(error).__name__})"
        )
    if isinstance(error, ClientError) and (_is_transient(error) or status_of(error) >= 500):
        return BackendUnavailableError(
            f"AWS temporarily refused credentials for {table} ({code_of(error)})"
        )
    problem = (
        f"could not load credentials ({type(error).__name__})" if error else "found no credentials"
    )
    return StorageError(
        f"boto3 {problem} for {table}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in to "
        f"a profile, or give the machine a role. {_CREDENTIALS_HINT}"
    )


def map_setup_error(error: Exception, table: str) -> StorageError:
    """Return the error for a client that could not be created."""
    if isinstance(error, ProfileNotFound):
        return StorageError(
            f"{table}: the AWS configuration files have no such profile. {_CREDENTIALS_HINT}"
        )
    return StorageError(f"boto3 can't create a client for {table} ({type(error).__name__})")


def _server(table: str) -> str:
    return f"DynamoDB ({table})"
