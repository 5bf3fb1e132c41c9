"""The clauses of the contracts, and those that a test cites."""

import re

CLAUSES = {
    "C1": "distinct addresses never collide, and decode back",
    "C2": "names are never normalised, folded or trimmed",
    "C3": "limits of names: the same on every backend",
    "C6": "clear and list_keys touch one space",
    "C7": "values: strict JSON, exact, never the caller's object",
    "C8": "corrupt bytes raise",
    "C9": "None is a value",
    "C10": "large values: stored whole, or refused before the write",
    "C11": "ttl: milliseconds, checked",
    "C12": "expired is absent, at once and for every method",
    "C13": "which method sets or keeps an expiry",
    "C14": "results are true; listings are complete and sorted",
    "C15": "patterns mean the same everywhere",
    "C16": "concurrent changes lose nothing",
    "C17": "each record of a batch is whole",
    "C18": "a request past its deadline raises",
    "C19": "an interrupted call does not harm other calls",
    "C21": "threads, event loops and forks",
    "C22": "one store for all, closed with the last",
    "C23": "no secret is shown",
    "C24": "sealed values: hidden, authenticated, bound to their address",
    "C25": "foreign and sealed records: untouched, never misread",
    "C26": "templates: all references are listed; missing values",
    "C27": "templates: one pass, keys only, JSON for the rest",
    "C30": "models: one completion, whole or streamed, sync or async",
    "C31": "models: an abandoned stream or call does not harm others",
    "C32": "models: the options of a request are used, or refused",
    "C33": "models: a completion by the deadline, or an error",
    "C34": "models: an error says whether a retry may help",
    "C35": "models: any text is a prompt",
    "C36": "models: a conversation is sent as messages, or refused",
}

_CITED_CLAUSES = re.compile(r"\((C\d+(?:, C\d+)*(?: and C\d+)?)\)")


def cited_clauses(test: object) -> list[str]:
    """Return the clauses that the first line of a test's docstring cites."""
    first = (getattr(test, "__doc__", None) or "").strip().partition("\n")[0]
    cited = _CITED_CLAUSES.search(first)
    return re.findall(r"C\d+", cited[1]) if cited else []
