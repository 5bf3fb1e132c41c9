"""Where a fault came from, told without its text: that may quote a password or a value.

The name of a module that is missing is no secret: a driver that is imported late may be gone.
"""


def origin(fault: BaseException) -> str:
    """Return type and place, such as "TypeError, in line 12 of fibonacci_shelf"."""
    kind, trace = type(fault).__name__, fault.__traceback__
    if isinstance(fault, ModuleNotFoundError) and fault.name:
        kind = f"{kind}: No module named {fault.name!r}"
    if trace is None:
        return kind
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "code without a module")
    return f"{kind}, in line {trace.tb_lineno} of {module}"
