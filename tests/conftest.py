"""What holds for every test."""

import os
import sys

from hypothesis import settings

# Shells of containers often forbid byte code. The hundreds of processes that the tests start would each
# compile a thousand modules again: half of their time until ready.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# An example's wall clock says how busy the machine is; pytest's timeout bounds the whole test.
settings.register_profile("quantum", deadline=None)
settings.load_profile("quantum")
