from __future__ import annotations

import pytest

from tests.unit.playbooks.machine import SHELLS, Machine


@pytest.fixture(params=SHELLS)
def machine(request, tmp_path):
    return Machine(tmp_path, request.param)
