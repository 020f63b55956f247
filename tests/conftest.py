"""What holds for every test."""

from hypothesis import settings

# An example's wall clock says how busy the machine is; pytest's timeout bounds the whole test.
settings.register_profile("quantum", deadline=None)
settings.load_profile("quantum")
