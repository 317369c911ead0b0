"""Judge what came of one fault, by rules that a reader can check."""

import re
from dataclasses import dataclass

WORKS, REFUSED, EITHER = "works", "refused", "either"
"""What is right: the fault does no harm, it is refused in words, or one of both."""

GOOD = ("as it should", "clear")
BAD = ("unclear", "crash", "hang", "silent", "lost")
VERDICTS = (*GOOD, *BAD)

RULES = {
    "as it should": "it worked, and the result is right; or the injected exception or Cancel came out as itself",
    "clear": "it was refused by a message that names the input, file or tensor, and says what to do",
    "unclear": "it was refused by another message, or by the raw error of a library",
    "crash": "the process ended, or a request got no answer, or failed within the server",
    "hang": "it took longer than the limit of its kind",
    "silent": "it went on with a wrong result, left files behind that nothing removes, or took what it should refuse",
    "lost": "a file of the user is neither old nor new, a model of the user changed, or the next prompt fails",
}

_RAW = re.compile(
    r"Traceback|NoneType|has no attribute|out of range|unexpected keyword|positional argument|size mismatch|"
    r"must match the size|Expected all tensors|^\[Errno|0x[0-9a-f]{6}|not subscriptable|not iterable|invalid literal|"
    r"unsupported operand|codec can't|DefaultCPUAllocator|<class '"
)
_INTERNAL: tuple[str, ...] = (
    "KeyError",
    "AttributeError",
    "IndexError",
    "TypeError",
    "AssertionError",
    "NameError",
    "UnboundLocalError",
)
_INTERNAL += ("ZeroDivisionError", "UnicodeDecodeError", "UnicodeEncodeError", "RecursionError", "StopIteration")


@dataclass(frozen=True)
class Seen:
    """What came of a fault.

    Attributes:
        expected: WORKS, REFUSED or EITHER.
        said: message of the error; "" without one.
        error: class of the error.
        names: texts of which a clear message has one; none: any will do.
        own: the message is the pack's; others (the host's checks of a prompt) have another form.
        meant: the error is the injected one itself, or Cancel.
        wrong: what is wrong though nothing was said; "" if nothing.
        lost: what was lost; "" if nothing.
    """

    expected: str
    said: str = ""
    error: str = ""
    names: tuple[str, ...] = ()
    own: bool = True
    meant: bool = False
    wrong: str = ""
    lost: str = ""


def verdict(seen: Seen) -> str:
    """Return one of VERDICTS; "crash" and "hang" of a whole process are the runner's to give."""
    if seen.lost:
        return "lost"
    if seen.wrong:
        return "silent"
    if seen.meant:
        return "as it should"
    if not seen.error:
        return "silent" if seen.expected == REFUSED else "as it should"
    if seen.error == "ServerError":
        return "crash"
    return "clear" if seen.expected != WORKS and is_clear(seen) else "unclear"


def is_clear(seen: Seen) -> bool:
    """Return whether a message names what it is about, says what to do, and is no raw error."""
    if seen.error in _INTERNAL or (seen.own and _RAW.search(seen.said)):
        return False
    if seen.names and not any(name.lower() in seen.said.lower() for name in seen.names):
        return False
    return not seen.own or len(re.findall(r"\S[.!](?:\s|$)", seen.said)) >= 2
