"""`summary.json`: what a run came to. Written now and then as well, so that a killed run has one too."""

import json
from pathlib import Path
from typing import Any

from handrail.intervention.run_directory import write_durably
from handrail.launch.view import RunView

TRAINING_WINDOW = 100
"""Training episodes behind the figure in `training`; its successes are those without a human step."""


def summarise(view: RunView, wall_s: float) -> dict[str, Any]:
    """The summary of a run.

    Args:
        view: the run's newest reports.
        wall_s: time the run has taken, over all its sessions [s].
    """
    final = view.final
    actor, learner = view.actor, view.learner
    unaided = view.success("unaided", TRAINING_WINDOW)
    return {
        "env_steps": view.env_steps,
        "robot_minutes": round(view.robot_minutes, 3),
        "wall_s": round(wall_s, 2),
        "t95_env_steps": view.t95_env_steps,
        "eval": {
            "successes": int(final["successes"]) if final else 0,
            "episodes": int(final["episodes"]) if final else 0,
            "wilson_low": round(float(final["wilson_low"]), 4) if final else 0.0,
        },
        "human_steps": int(actor.get("human_steps", 0)),
        "takeovers": int(actor.get("takeovers", 0)),
        "updates": int(learner.get("updates", 0)),
        "utd": round(float(learner.get("utd", 0.0)), 3),
        "committed": int(actor.get("committed", 0)),
        # Beyond what every tool may rely on:
        "goal_reached": view.reached,
        "run": view.run_id,
        "seed": view.config.seed,
        "eval_set": str(final.get("set", "")) if final else None,
        "demonstration_steps": int(actor.get("demonstration_steps", 0)),
        "episodes": int(actor.get("episode", 0)),
        "reset_s": round(float(actor.get("reset_s", 0.0)), 2),
        "overruns": int(actor.get("overruns", 0)),
        "late_looks": int(actor.get("late_looks", 0)),
        "evaluations": len(view.evaluations),
        # Where nothing evaluates (a real arm), this is the success there is to report: noise and all.
        "evaluated": view.evaluated,
        "training": {
            "successes": unaided.successes,
            "episodes": unaided.episodes,
            "wilson_low": round(unaided.bounds[0], 4),
        },
    }


def score(view: RunView) -> str:
    """What the policy has shown so far, in words."""
    if not view.evaluated:
        unaided = view.success("unaided", TRAINING_WINDOW)
        return f"{unaided} unaided in the last training episodes (a real arm is not evaluated meanwhile)"
    final = view.final
    return f"{final['successes']} of {final['episodes']} unaided" if final else "no evaluation yet"


def write(path: Path, summary: dict[str, Any]) -> None:
    """Replace the summary at `path`: a reader sees the old one or the new one, whole."""
    write_durably(path, json.dumps(summary, indent=2) + "\n")


def wall_s_before(path: Path) -> float:
    """The time that earlier sessions of the run took [s]; 0 without a readable summary."""
    try:
        return float(json.loads(path.read_text())["wall_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
