"""Every error the agent raises, split by whose fault it is.

* A message is one lower-case line that says what was expected; no message ever holds a secret byte.
* `slug` is stable: the end of a problem's `type`, the `code` of a log line, the reason behind an exit code.
* `status` is what the control socket answers, `exit_code` how the command ends; both are frozen.
"""

from typing import ClassVar


class AgentError(Exception):
    """Something went wrong inside the agent; its log has the details."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str = "", *, remedy: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").strip())
        self.remedy = remedy

    @property
    def detail(self) -> str:
        """The message, with what to do about it where the reader can act."""
        return f"{self}; {self.remedy}" if self.remedy else str(self)


# --- the peer's fault, or the network's -----------------------------------------------------------

# slug of protocol.md section 6 -> (HTTP status, whether the answer is authenticated and claims its span)
REFUSALS: dict[str, tuple[int, bool]] = {
    "too-large": (413, False),
    "bad-span": (400, False),
    "unknown-block": (404, False),
    "bad-tag": (401, False),
    "pad-spent": (409, False),
    "pad-exhausted": (409, False),
    "retired": (409, False),
    "malformed": (400, True),
    "bad-length": (400, True),
    "name-taken": (409, True),
    "proof-required": (409, True),
    "name-mismatch": (409, True),
    "not-registered": (403, True),
    "binding-refused": (403, True),
}


class Refusal(AgentError):
    """A message of the DSKE protocol was refused by the rule that `slug` names."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug  # type: ignore[misc]  # one class for a table of fourteen
        self.status, self.authenticated = REFUSALS[slug]  # type: ignore[misc]


class Invalid(AgentError):
    """A value breaks a rule of the protocol; `kind` says which."""

    slug = "malformed"
    status = 400
    exit_code = 8

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class BadHttp(AgentError):
    """The other side does not speak HTTP/1.1 as we demand it."""

    slug = "bad-request"

    def __init__(self, detail: str, *, answer_status: int = 400) -> None:
        super().__init__(detail)
        self.status = answer_status  # type: ignore[misc]  # each check of the server names its own


class HubUnavailable(AgentError):
    """The hub can't be used at the moment."""

    slug = "hub-unavailable"
    status = 503
    exit_code = 7


class Unproven(HubUnavailable):
    """The hub's answer is not authenticated: `kind` says why, `hint` is what it claims, and no more than that."""

    slug = "hub-unproven"

    def __init__(self, kind: str, detail: str, *, hint: str = "") -> None:
        super().__init__(f"the answer proves nothing: {detail}")
        self.kind, self.hint = kind, hint


class InterfaceDown(HubUnavailable):
    """The interface that all traffic with hubs is bound to is missing or has no address."""

    slug = "interface-down"


class Nonsense(AgentError):
    """The hub's answer is authenticated and makes no sense."""

    slug = "hub-nonsense"
    status = 503
    exit_code = 7


class HubStopped(AgentError):
    """The hub says that this client was rolled back; nothing is spent with it until that is cleared up."""

    slug = "hub-stopped"
    status = 503
    exit_code = 7


class BlockUseless(AgentError):
    """The hub does not take this block."""

    slug = "block-useless"
    status = 503
    exit_code = 7


class TooFewHubs(AgentError):
    """Fewer hubs than `shares_required` did their part."""

    slug = "too-few-hubs"
    status = 503
    exit_code = 7


class PsrdExhausted(AgentError):
    """There is not enough PSRD left for this; carry new files from the hubs."""

    slug = "psrd-exhausted"
    status = 503
    exit_code = 7


class ThresholdMismatch(AgentError):
    """The generator used another `shares_required` than this agent's configuration says."""

    slug = "k-mismatch"
    status = 409
    exit_code = 6


class AmbiguousGenerator(AgentError):
    """More than one peer may have made a secret under this id; say which peer is meant."""

    slug = "ambiguous-generator"
    status = 409
    exit_code = 6


class PeerExempt(AgentError):
    """No keys are made with this peer: it is a security hub, or exempt."""

    slug = "peer-exempt"
    status = 409
    exit_code = 6


class PeerOutOfReach(AgentError):
    """No policy of the network lets this machine and that peer reach each other."""

    slug = "peer-out-of-reach"
    status = 409
    exit_code = 6


class ManagementUnreachable(AgentError):
    """The management server does not answer, or not in a way that makes sense."""

    slug = "management-unreachable"
    status = 503


class ManagementRefused(AgentError):
    """The management server does not let this peer do that."""

    slug = "management-refused"
    status = 502
    exit_code = 4


class NotRecognized(ManagementRefused):
    """The management server does not recognize the token or key that it was shown."""

    slug = "not-recognized"


class FetchLimit(AgentError):
    """This was asked for too often; fetching is not for polling."""

    slug = "fetch-limit"
    status = 429
    exit_code = 6


# --- the disk's fault -----------------------------------------------------------------------------


class StoreError(AgentError):
    """The disk did not keep its promise; the store stands still until the agent is started again."""

    slug = "store-failed"


class DiskFull(StoreError):
    """There is no room on the disk; nothing was changed."""

    slug = "disk-full"
    status = 507


class OutOfFiles(StoreError):
    """There are too many open files; nothing was changed."""

    slug = "out-of-files"
    status = 503


class StoreFenced(StoreError):
    """The store is fenced: no one-time material is spent until an operator has looked."""

    slug = "store-fenced"
    status = 409
    exit_code = 6


# --- the operator's or the caller's fault ---------------------------------------------------------


class BadConfig(AgentError):
    """The configuration is not valid."""

    slug = "bad-config"
    status = 422
    exit_code = 8


class BadRequest(AgentError):
    """The request is not what this route expects."""

    slug = "bad-request"
    status = 400
    exit_code = 2


class PsrdRejected(AgentError):
    """This is not a PSRD file that this agent can take."""

    slug = "psrd-rejected"
    status = 422
    exit_code = 8


class PsrdIncomplete(PsrdRejected):
    """The file ends too early; more bytes could still make it a PSRD file."""

    slug = "psrd-incomplete"


class PsrdPreviouslyInserted(AgentError):
    """PsrdPreviouslyInserted: this PSRD was ingested before; it is never taken twice."""

    slug = "psrd-previously-inserted"
    status = 409
    exit_code = 9


class PsrdContradiction(PsrdRejected):
    """A block of this id is known with other content; the file was damaged, or somebody made it."""

    slug = "psrd-contradiction"


class NotKnown(AgentError):
    """This token or setup key is nobody's."""

    slug = "not-known"
    status = 401
    exit_code = 4


class NotPermitted(AgentError):
    """The caller may not do this."""

    slug = "not-permitted"
    status = 403
    exit_code = 4


class NotFound(AgentError):
    """There is no such thing here."""

    slug = "not-found"
    status = 404
    exit_code = 5


class KeyGone(AgentError):
    """This key was handed out before, or has expired; a key leaves the agent once."""

    slug = "key-gone"
    status = 410
    exit_code = 5


class NothingChanged(AgentError):
    """It is so already; nothing was changed."""

    slug = "already-so"
    status = 409
    exit_code = 9


class NameTaken(AgentError):
    """Something else has this name already."""

    slug = "name-taken"
    status = 409
    exit_code = 6


class Unacceptable(AgentError):
    """The request is well-formed, but what it asks for can't be."""

    slug = "unacceptable"
    status = 422
    exit_code = 8


class WrongState(AgentError):
    """This can't be done in the present state."""

    slug = "wrong-state"
    status = 409
    exit_code = 6


class RoleChanging(AgentError):
    """The agent is changing its role; ask again in a moment."""

    slug = "role-changing"
    status = 503
    exit_code = 6


class TimedOut(AgentError):
    """It took longer than it may."""

    slug = "timed-out"
    status = 504
    exit_code = 10


class AgentNotRunning(AgentError):
    """Nobody listens on the control socket; start the agent, or name its socket with --socket."""

    slug = "not-running"
    status = 503
    exit_code = 3


# --- ours -----------------------------------------------------------------------------------------


class OneTimeViolation(AssertionError):
    """One-time material was about to be used twice; raised before it happens, never caught."""
