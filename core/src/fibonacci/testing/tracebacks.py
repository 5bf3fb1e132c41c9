"""What an error shows, itself and by the errors behind it."""

import traceback


def traceback_text(error: BaseException) -> str:
    """Return all that a log or a debugger could show of an error.

    This is the traceback with its notes, the repr and the attributes; also of each cause and
    context, even of those that Python does not print.
    """
    texts: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        step = waiting.pop()
        if step is None or id(step) in seen:
            continue
        seen.add(id(step))
        # Without the indentation, which a prompt of spaces would be found in.
        shown = "".join(traceback.format_exception(step, chain=False))
        texts += [line.strip() for line in shown.splitlines()]
        texts += [str(step), repr(step), repr(vars(step)), *getattr(step, "__notes__", ())]
        waiting += [step.__cause__, step.__context__]
    return "\n".join(texts)
