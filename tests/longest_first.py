"""The order in which test files start."""

# A worker takes a whole file. Where one of these came last, the other workers would wait for it.
LONGEST_FIRST = (
    "notebooks/test_notebooks.py",
    "test_sweep.py",
    "test_book.py",
    "browser/test_live_lab.py",
    "browser/test_live_page.py",
    "test_record.py",
    "test_live_copying.py",
    "test_benchmarks.py",
    "test_wheel.py",
    "test_dlp.py",
    "test_dask.py",
    "notebooks/test_exercises.py",
    "notebooks/test_regression.py",
    "test_live_view.py",
    "test_readme.py",
    "test_attacks.py",
    "test_records.py",
    "test_defences.py",
    "test_defence_records.py",
)
