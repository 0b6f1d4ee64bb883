"""Real processes, killed at random moments under load: nothing twice, nothing lost."""

from tests.proof import kills

KILLS = 50


def test_fifty_kills_under_load_reuse_nothing_and_lose_nothing():
    covered = kills.play(0, kills=KILLS)

    assert KILLS == covered["kills"]
    assert covered["kills of ready machines"] > KILLS / 2
    assert covered["rounds under load"] > covered["rounds without load"]
    assert covered["keys handed out"] > KILLS
    assert covered["messages"] > 10 * KILLS
