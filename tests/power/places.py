"""What everybody on the stage knows."""

from qfagent.dske.psrd import HubAddress

HUB_ID, OTHER_ID = "1a" * 16, "2b" * 16  # the other hub is beyond this stage, and keeps its promises
HUB = HubAddress(HUB_ID, "hub.mesh", 27277)
SHARE_TTL = 3600  # seconds
INBOX, POOL, STATE = "/inbox", "/pool", "/state"
