"""Set-up that every test shares."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: threads only wait for each other

import matplotlib as mpl
from hypothesis import settings

mpl.use("Agg")

# The same examples in every run, and no limit on the time of one: a slow machine is no failure.
settings.register_profile("mecsim", deadline=None, derandomize=True, database=None, print_blob=False)
settings.load_profile("mecsim")
