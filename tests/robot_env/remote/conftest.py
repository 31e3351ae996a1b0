import pytest
from supervised import Cell


@pytest.fixture
def cell():
    return Cell()
