"""Sweeps: grids of trials on any executor of concurrent.futures.

A finished trial is a record, and a rerun does what is missing. The command line does the same:
``python -m dlp_lib sweep plan.yaml``.
"""

from .execute import sweep
from .grid import grid_points
from .job import Outdated
from .pool import Pool
from .security import make_credentials, read_credentials

# For dask.config.set before a LocalCluster, on Linux. By default Dask has its workers return freed
# memory at once. The next batch asks for it again, and training takes twice as long. In bytes.
DASK = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**30,
}
