"""What a wheel carries beside the package. Everything else about it is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CARRIED = (
    "pyproject.toml",
    "notebooks/*.ipynb",
    "notebooks/params/*.yaml",
    "data/paper.json",
    "data/recorded/**/*.json",
    "docs/*.md",
    "docs/*.png",
    "docs/*.svg",
)


def carried_files() -> list[Path]:
    """Return the files that a wheel carries in ``dlp_lib/project``, as paths inside the project."""
    found = []
    for pattern in CARRIED:
        found += [path.relative_to(ROOT) for path in ROOT.glob(pattern)]
    return sorted(found)


class BuildWithProject(build_py):
    """Build the package, with notebooks, recorded tables and guides inside it.

    An editable installation has none of them inside: it reads those of the checkout.
    """

    def run(self) -> None:
        """Copy the package, and then the files that it carries."""
        if self.editable_mode:
            super().run()
            return
        # What an earlier build has left would get into this wheel
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for source, target in self._copies().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def _copies(self) -> dict[str, str]:
        """Return where the files go that the wheel carries, by where they are."""
        folder = Path(self.build_lib, "dlp_lib", "project")
        return {str(ROOT / path): str(folder / path) for path in carried_files()}

    def get_source_files(self) -> list[str]:
        """Return what a source archive needs."""
        return [*super().get_source_files(), *[str(path) for path in carried_files()]]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return what is built."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        return [*outputs, *self._copies().values()]


setup(cmdclass={"build_py": BuildWithProject})
