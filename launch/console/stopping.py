"""STOP: to the control loop's desk and, at once and beside it, to the arm's own gate.

Whichever is reached first stops the arm. The desk pauses the policy and holds whoever drives; the arm server
brakes, whatever its client does.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from handrail.agent.config import RunConfig
from handrail.intervention.console.client import DeskSilent
from handrail.intervention.console.messages import Ack, Command
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link
from handrail.launch.console.relay import Relay
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.remote.operator import stop_arm

_DEAF = "the arm server did not hear it"
_ARM_S = 2.0  # as long as the desk may take: the page waits for either


class Stopper:
    """Stops the arm; has threads of its own, so that nothing else keeps it waiting.

    Args:
        run: the run's directory.
        config: its configuration.
        relay: the way to the desk.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, relay: Relay) -> None:
        self._run, self._config, self._relay = run, config, relay
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="stop")

    async def stop(self, command: Command) -> Ack:
        """Stop; the answer says who heard it.

        Raises:
            DeskSilent: nobody did.
        """
        if not self._config.env.arm.served:
            return await self._relay.ask(command)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._stop_arm)
        arm = asyncio.wait_for(work, _ARM_S)  # the thread goes on to its end whatever the page is told
        desk, braked = await asyncio.gather(self._relay.ask(command), arm, return_exceptions=True)
        if isinstance(desk, Ack):
            if braked is True:
                return desk
            return msgspec.structs.replace(desk, why=f"{desk.why}; {_DEAF}" if desk.why else _DEAF)
        if braked is True:
            return Ack(command.id, "done", "the arm server has stopped the arm; no control loop answered")
        if isinstance(desk, DeskSilent):
            raise DeskSilent(f"{desk}; the arm server did not hear it either: use the emergency stop")
        raise desk

    def _stop_arm(self) -> bool:
        """Have the arm server brake; whether it heard it."""
        own = arm_link.run_address(self._run)
        address = own if Path(own.removeprefix("ipc://")).is_dir() else None
        try:
            stop_arm(arm_link.at(self._config.env, address))
            return True
        except HandrailError as error:
            structlog.get_logger().error("stop", error=str(error))
            return False

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False)
