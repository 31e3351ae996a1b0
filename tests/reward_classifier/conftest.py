"""A trained classifier, made once: `lamp/<version>` is in use and sees success where the lamp is lit."""

from pathlib import Path

import pytest
from trained import make_version, show

from handrail.reward_classifier.versions import make_current


@pytest.fixture(scope="session")
def lamp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier in use; not to be changed."""
    folder = tmp_path_factory.mktemp("classifiers")
    make_current(folder / "lamp", make_version(folder / "lamp", show(folder / "shown")))
    return folder / "lamp"


@pytest.fixture(scope="session")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a version that sees success where the lamp is *not* lit; not to be changed."""
    folder = tmp_path_factory.mktemp("inverted")
    return folder / "lamp" / make_version(folder / "lamp", show(folder / "shown", inverted=True))
