"""A process that ends when its parent dies."""

import subprocess
import sys

import pytest

CHILD = """
import time
from groundup.signals import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep(100)
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_child_of_a_killed_process_ends():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        assert parent.communicate(timeout=30)[0] == ""  # its end comes when the child, too, has closed it
