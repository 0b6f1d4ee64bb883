"""The same stage, played by hypothesis, which tells the shortest play that breaks a promise."""

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.power.plays import RULES, prologue
from tests.power.stage import Stage


class Play(RuleBasedStateMachine):
    """One hub and two clients, until they are asked to keep all their promises."""

    stage = None

    @initialize(seed=st.integers(0, 99), begun=st.booleans())
    def begin(self, seed, begun):
        self.stage = Stage(seed).__enter__()
        if begun:
            prologue(self.stage)

    def teardown(self):
        if self.stage is not None:
            try:
                self.stage.play("finish")
            finally:
                self.stage.__exit__()


def _followed(name):
    def follow(self, **choices):
        self.stage.play(name, **choices)

    follow.__name__ = name
    return follow


for _name, (_, _arguments) in RULES.items():
    _choices = {argument: st.integers(0, size - 1) for argument, size in _arguments.items()}
    setattr(Play, _name, rule(**_choices)(_followed(_name)))

TestPlay = Play.TestCase
TestPlay.settings = settings(
    max_examples=50,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
