"""The reference's complete example, which loses turns where two requests of a user overlap.

It keeps each user's history on Redis: it gets it, changes it and sets it. Of two requests at once
(two tabs, a double click, a retry) both get the same history, and the later ``set`` wipes out the
earlier one's turn, without an error. ``append`` loses none: see chat.py, fastapi_chat and
docs/chat-history.md.

It differs from the reference in one line: it remembers no more than 4,000 characters of an answer.
With a model that repeats its prompt, the history would contain the history, and double with each
turn.

It needs a Redis at localhost, ANTHROPIC_API_KEY, and pip install 'fibonacci-core[redis,anthropic]'.
"""

from fibonacci import LLMNode, MemoryConfig, Workflow

# Configure with Redis backend
workflow = Workflow(
    name="chatbot",
    memory_config=MemoryConfig(
        backend="redis", connection_url="redis://localhost:6379/0", key_prefix="chatbot:"
    ),
)

# Chat node reads history
chat = LLMNode(
    id="chat",
    model="claude-sonnet-4-5-20250929",
    prompt="""Conversation history:
{{memory.history}}

User: {{input.message}}

Respond naturally.""",
    memory_read=["history"],
)
workflow.add_node(chat)


def chat_with_user(user_id: str, message: str) -> str:
    # Get history
    history = workflow.memory.get("history", scope="user", user_id=user_id, default=[])

    # Execute
    result = workflow.execute(inputs={"message": message}, user_id=user_id)

    # Update history
    history.append({"role": "user", "content": message})
    history.append({"role": "assistant", "content": result["chat"][:4_000]})
    history = history[-20:]  # Keep last 20

    workflow.memory.set("history", history, scope="user", user_id=user_id)
    return str(result["chat"])


if __name__ == "__main__":
    print(chat_with_user("user-123", "Hello! My name is Ada."))
    print(chat_with_user("user-123", "What is my name?"))
