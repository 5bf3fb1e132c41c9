"""Authentication of users. Replace it by your own; nothing else identifies a user."""

import json
import os
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

TOKENS: dict[str, str] = json.loads(os.environ["CHAT_TOKENS"])
"""User ids by token."""


async def authenticate(
    bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    """Return the id of the token's user, in a time that reveals nothing of tokens."""
    sent, user = bearer.credentials.encode(), None
    for token, owner in TOKENS.items():
        if compare_digest(token.encode(), sent):
            user = owner
    if user is None:
        raise HTTPException(401, "unknown token", {"WWW-Authenticate": "Bearer"})
    return user


User = Annotated[str, Depends(authenticate)]
"""The user of a request, as a parameter of its function."""
