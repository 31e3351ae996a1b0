"""A reward classifier that has learned in a second to tell a lit lamp from none (see `judged`)."""

import time
from pathlib import Path

from judged import ENV, open_log, write_episode

from handrail.intervention.log_reader import LogReader
from handrail.reward_classifier import artifact
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import Recording, gather
from handrail.reward_classifier.train import train
from handrail.vision.trunk import Trunk, build

CONFIG = ClassifierConfig(
    views=1,
    folds=2,
    epochs=15,
    spatial_features=2,
    bottleneck=8,
    dropout=0.0,
    margin=0,
    learning_rate=0.02,
    consecutive=2,
)


def show(folder: Path, episodes: int = 6, *, inverted: bool = False) -> Recording:
    """A log in which somebody has shown the lit lamp as success, or the unlit one."""
    with open_log(folder) as writer:
        for episode in range(episodes):
            lit = [False] * 6 + [True] * 6
            rewards = [float(each is not inverted) for each in lit]
            write_episode(writer, episode, lit, purpose="classify", rewards=rewards)
    return Recording(folder.name, LogReader(folder), ENV)


def make_version(folder: Path, recording: Recording, *, seed: int = 0) -> str:
    """Train on a log and store a version in `folder`; it is not in use yet."""
    trained = train(gather([recording], CONFIG), CONFIG, Trunk("cnn", build("cnn", seed).state_dict()))
    return artifact.save(folder, trained, "<p>report</p>", made_wall_ns=time.time_ns())
