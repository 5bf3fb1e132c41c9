"""Who asks. This is the place for your own authentication; nothing else names a user."""

import json
import os
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

TOKENS: dict[str, str] = json.loads(os.environ["CHAT_TOKENS"])
"""User ids by token."""


async def whose(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    """Return the id of the user whose token it is; how long that takes tells nothing of tokens."""
    given, user = bearer.credentials.encode(), None
    for token, owner in TOKENS.items():
        if compare_digest(token.encode(), given):
            user = owner
    if user is None:
        raise HTTPException(401, "unknown token", {"WWW-Authenticate": "Bearer"})
    return user


User = Annotated[str, Depends(whose)]
"""The user of a request, as a parameter of its function."""
