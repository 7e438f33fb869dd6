"""Single stories in virtual time, for what random worlds come to too rarely."""

from dataclasses import replace

from tests.sim.cluster import World, scenario


def test_a_daemon_outlives_an_outage_of_ten_minutes() -> None:
    world = World(replace(scenario(10), seconds=660.0, edit_every=1e6, fault_every=1e9))
    world.loop.call_later(5.0, world.network.stop_server)
    world.loop.call_later(605.0, world.network.start_server)
    world.loop.call_later(605.0, world.disturbed)
    outcome = world.run()
    assert outcome.failure is None
    assert outcome.fires > 0
