"""The reference's complete example, unchanged, in several processes one after another."""

import json
import subprocess
import sys
from pathlib import Path

ON = ("sqlite", "redis", "postgres", "dynamodb")

CHATBOT = Path(__file__).parents[1].joinpath("reference", "REFERENCE.md").read_text()
CHATBOT = CHATBOT[CHATBOT.index("## Complete Example") :].split("```python\n")[1].split("```")[0]

PROGRAM = """
import json, sys
from types import SimpleNamespace
from fibonacci import register_plugin
from fibonacci.plugin import Completion, Model, hookimpl


class Echo(Model):
    def complete(self, request):
        return Completion(text=f"{request.prompt.count('content')} remembered")


@hookimpl
def fibonacci_model(settings):
    return Echo()


register_plugin("models", "claude-", SimpleNamespace(
    FIBONACCI_SPEC_VERSION=1, fibonacci_model=fibonacci_model
))
exec(compile(sys.stdin.read(), "REFERENCE.md", "exec"), globals())
said = {user: [chat_with_user(user, f"{user} {n}") for n in range(int(sys.argv[1]))]
        for user in sys.argv[2:]}
kept = {user: workflow.memory.get("history", scope="user", user_id=user) for user in sys.argv[2:]}
print(json.dumps([said, kept]))
"""


def talk(backend_and_url: tuple[str, str], turns: int, *users: str) -> tuple[dict, dict]:
    """Run the users' turns in a new process; return the answers and the stored histories."""
    name, url = backend_and_url
    program = CHATBOT.replace('backend="redis"', f'backend="{name}"')
    program = program.replace("redis://localhost:6379/0", url)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(turns), *users],
        input=program,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said, kept = json.loads(done.stdout)
    return said, kept


IDS = ("ada", "adaada", "a:b", "a:ba:b", "{x}", "ünï", "*", "%2A")
"""Of any kind, and some that are another one, twice."""


def test_history_continues_in_the_next_process(backend_and_url: tuple[str, str]) -> None:
    """The first turn finds no history; a later process continues where the previous one ended.

    Eleven turns of each user: the last twenty messages stay, in order, and none of another user's.
    """
    said, _ = talk(backend_and_url, 6, *IDS)
    assert said == {user: [f"{2 * turn} remembered" for turn in range(6)] for user in IDS}
    said, kept = talk(backend_and_url, 5, *IDS)
    assert said == {user: [f"{2 * turn} remembered" for turn in range(6, 11)] for user in IDS}
    for user in IDS:
        asked = [one["content"] for one in kept[user] if one["role"] == "user"]
        assert asked == [f"{user} {turn}" for turn in (1, 2, 3, 4, 5, 0, 1, 2, 3, 4)]
        assert len(kept[user]) == 20
