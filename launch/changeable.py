"""Which keys of a run's configuration may change; anything else would make it another experiment.

A key is written as on the command line; `<n>` stands for any place in a list, counted from 0.
"""

HAND = (
    "actor.device",
    "device.path",
    "device.poll_s",
    "device.stick_dead_zone",
    "device.key_deflection",
    "device.key_s",
    "device.buttons.success",
    "device.buttons.failure",
    "device.buttons.discard",
    "device.buttons.pause",
    "device.buttons.stop",
    "device.buttons.takeover",
    "mapping.frame",
    "mapping.axes",
    "mapping.gain",
    "mapping.operator_deg",
    "mapping.dead_zone",
)
"""Which device the operator's hand is at, and how it is read."""

HARDWARE = (*HAND, "env.camera_devices.<n>.serial", "env.arm.server.address")
"""Which of the things at hand a session uses: device, cameras, arm server."""

CHANGEABLE = (
    "goal.max_env_steps",
    "goal.max_wall_s",
    "goal.successes",
    "goal.hold",
    "evaluation.every_steps",
    "learner.torch_threads",
    "diagnostics.every_updates",
    "diagnostics.batch",
    "diagnostics.effective_td",
    "diagnostics.ceiling_margin",
    "diagnostics.cem",
    *HARDWARE,
    "env.arm.franka.host",
    "env.arm.ur.host",
    "env.arm.serl_http.url",
)
"""What may change when a run is taken up again."""
