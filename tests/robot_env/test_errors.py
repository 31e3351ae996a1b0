import inspect
import re

import pytest

from handrail.robot_env import errors
from handrail.robot_env.errors import HandrailError, MissingExtra

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


@pytest.mark.parametrize("error", CLASSES)
def test_the_documented_tree_is_the_real_one(error):
    assert issubclass(error, HandrailError)
    documented = re.search(rf"{error.__name__} +(\d)", errors.__doc__ or "")
    assert documented and int(documented[1]) == error.exit_code


def test_a_missing_extra_names_its_remedy():
    assert "pip install 'handrail[franka]'" in str(MissingExtra("franka"))
