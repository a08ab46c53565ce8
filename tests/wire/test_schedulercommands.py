"""What whoever schedules is told, word for word; see `tests.wire.commands`."""

from __future__ import annotations

import unittest

from dispytw.node.connections import ConnectionFromScheduler
from dispytw.scheduler.connections import ConnectionFromNode
from dispytw.wire import schedulercommands
from tests.wire import commands


class SchedulerCommands(commands.Laws):
    """A node's tells."""

    module = schedulercommands
    answered_by = (ConnectionFromNode,)
    table = {
        "ComputationFailed": "computation: Uid, generation: Whole, text: Text -> nothing | WIRE WireError",
        "ComputationReady": "computation: Uid, generation: Whole -> nothing | WIRE WireError",
        "Heartbeat": "nothing -> no answer | WIRE WireError",
        "JobsEnded": "jobs: Records -> nothing | WIRE WireError",
        "JobsGivenBack": "jobs: Records -> nothing | WIRE WireError",
        "JobsRemarked": "remarks: Records -> nothing | WIRE WireError",
        "JobsWrote": "outputs: Records -> nothing | WIRE WireError",
        "JobsStarted": "jobs: Records -> nothing | WIRE WireError",
        "NodeAvailable": "available: Records -> no answer | WIRE WireError",
        "NodeFreed": "nothing -> nothing | WIRE WireError",
    }


class Heartbeats(unittest.TestCase):
    """The one word that both ends say."""

    def test_a_node_hears_it_too(self) -> None:
        """Both classes answer it."""
        for end in (ConnectionFromNode, ConnectionFromScheduler):
            self.assertIn(schedulercommands.Heartbeat.commandName, end._commandDispatch)  # type: ignore[attr-defined]
