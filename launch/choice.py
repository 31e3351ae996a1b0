"""Which episodes a command is about: its options `commands.CHOICE` as one filter."""

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.launch.options import Options


def chosen(options: Options) -> EpisodeFilter:
    """The filter that the options ask for.

    Raises:
        ConfigError: a condition has no meaning.
    """
    # On a command line `label=` is the label to give.
    return EpisodeFilter.of({**options, "label": options["labelled"]})
