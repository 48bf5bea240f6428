"""Paths, the validated `Config` with its profiles, and what made a result: commit and versions."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from digits import InputError

PACKAGE = Path(__file__).resolve().parent


def _find_root() -> Path:
    """Return the checkout that the package or the user is in; the user's own folder without one."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        here = PACKAGE.parent
    for folder in (PACKAGE.parent, here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "digits" / "champion").is_dir():
            return folder
    return here


ROOT = _find_root()
RUNS = ROOT / "runs"
REPORTS = ROOT / "reports"
NOTEBOOKS = ROOT / "notebooks"
TEST_IMAGES = ROOT / "test_images"
CHAMPION = PACKAGE / "champion"

PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a training run produces, apart from the data.

    Attributes
    ----------
    profile : str
        Name of the profile that these settings started from.
    seed : int
        Seeds weights, order, augmentation and synthetic images.
    filters : tuple of int
        Filters of the convolutions. A pooling layer follows every second one.
    kernels : tuple of int
        Side of each convolution's kernel in pixels; as many as `filters`.
    dense_units : int
        Width of the fully connected layer before the output.
    dropout : float
        Share of that layer's inputs that are dropped in training, 0 to below 1.
    batch_norm : bool
        Whether batch normalisation follows each convolution.
    augmentation : float
        Strength of the augmentation: 0 none, 1 the strength that the champion is trained with.
    extra : bool
        Train also on the embedded digits' training images and on synthetic digits (`synthesis`).
    reject : bool
        Give the network an 11th class, "not a digit", trained on synthetic images.
    epochs : int
    batch_size : int
    learning_rate : float
        Peak of the one-cycle schedule.
    weight_decay : float
        Decoupled weight decay (AdamW).
    precision : str
        "float32" or "mixed_bfloat16"; the latter is faster where the processor has it.
    """

    profile: str = "default"
    seed: int = 0
    filters: tuple[int, ...] = (32, 32, 64, 64)
    kernels: tuple[int, ...] = (5, 3, 3, 3)
    dense_units: int = 128
    dropout: float = 0.4
    batch_norm: bool = True
    augmentation: float = 0.5
    extra: bool = False
    reject: bool = False
    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    precision: str = "float32"

    def __post_init__(self) -> None:
        def require(condition: bool, name: str, expected: str) -> None:
            if not condition:
                raise InputError(
                    f"{name}={getattr(self, name)!r} is not valid: expected {expected}"
                )

        require(self.seed >= 0, "seed", "an integer from 0")
        require(
            2 <= len(self.filters) <= 6 and all(1 <= f <= 512 for f in self.filters),
            "filters",
            "two to six numbers from 1 to 512",
        )
        require(
            len(self.kernels) == len(self.filters) and all(1 <= k <= 7 for k in self.kernels),
            "kernels",
            "as many sides as filters, each from 1 to 7",
        )
        require(1 <= self.dense_units <= 4096, "dense_units", "1 to 4096")
        require(0 <= self.dropout < 1, "dropout", "at least 0 and below 1")
        require(0 <= self.augmentation <= 2, "augmentation", "0 to 2")
        require(1 <= self.epochs <= 1000, "epochs", "1 to 1000")
        require(1 <= self.batch_size <= 8192, "batch_size", "1 to 8192")
        require(0 < self.learning_rate <= 1, "learning_rate", "above 0 and at most 1")
        require(0 <= self.weight_decay <= 1, "weight_decay", "0 to 1")
        require(self.precision in PRECISIONS, "precision", " or ".join(PRECISIONS))

    @property
    def n_classes(self) -> int:
        """Outputs of the network: the ten digits, and "not a digit" where there is such a class."""
        return 11 if self.reject else 10

    @classmethod
    def from_profile(cls, name: str = "default", **overrides) -> Config:
        """Return the settings of profile `name`, with single fields replaced.

        Raises
        ------
        InputError
            If there is no such profile or field, or a value is out of its range.
        """
        if name not in PROFILES:
            raise InputError(f"unknown profile {name!r}; the profiles are {', '.join(PROFILES)}")
        return PROFILES[name].replace(**overrides)

    @classmethod
    def from_dict(cls, values: dict) -> Config:
        """Return the `Config` that `to_dict` wrote."""
        return cls().replace(**values)

    def replace(self, **overrides) -> Config:
        """Return a copy with single fields replaced; unknown fields and wrong types are refused."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        unknown = sorted(set(overrides) - set(defaults))
        if unknown:
            raise InputError(
                f"unknown setting {unknown[0]!r}; the settings are {', '.join(defaults)}"
            )
        return dataclasses.replace(
            self,
            **{name: _converted(defaults[name], name, value) for name, value in overrides.items()},
        )

    def with_overrides(self, assignments: list[str]) -> Config:
        """Return a copy changed by command-line assignments such as ``"epochs=12"``."""
        overrides = {}
        for assignment in assignments:
            name, separator, value = assignment.partition("=")
            if not separator:
                raise InputError(
                    f"{assignment!r} is no setting: expected NAME=VALUE, as in epochs=12"
                )
            overrides[name.strip()] = value.strip()
        return self.replace(**overrides)

    def to_dict(self) -> dict:
        """Return the settings as a dictionary that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def _converted(default, name: str, value):
    """Convert `value` (often text from a command line) to the type of `default`."""
    try:
        if isinstance(default, bool):
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if isinstance(default, tuple):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(int(part) for part in parts)
        if isinstance(default, int) and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return type(default)(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        kind = "comma-separated int" if isinstance(default, tuple) else type(default).__name__
        raise InputError(f"{name}={value!r} is not valid: expected {kind}") from None


PROFILES: dict[str, Config] = {
    # A minute of training on two cores: no batch normalisation (which costs as much as the
    # convolutions), one short cycle of a high learning rate.
    "quick": Config(
        profile="quick",
        filters=(24, 32),
        kernels=(5, 3),
        dense_units=256,
        batch_norm=False,
        augmentation=0.0,
        epochs=4,
        learning_rate=6e-3,
    ),
    # What a reader waits for: under ten minutes on two cores.
    "default": Config(),
    # The champion's: larger, and trained also on what MNIST lacks.
    "best": Config(
        profile="best",
        filters=(32, 48, 96, 128),
        dense_units=192,
        augmentation=1.0,
        extra=True,
        reject=True,
        epochs=45,
        precision="mixed_bfloat16",
    ),
}


def default_run_dir(data: str, profile: str, seed: int) -> Path:
    """Return the run folder that notebooks 03 and later share where none is named."""
    return RUNS / f"{data}-{profile}-{seed}"


# The packages that the extras of pyproject.toml install, by the names that are imported.
EXTRAS = {
    "train": ("filelock", "jinja2", "keras", "pandas", "pooch", "scipy", "sklearn"),
    "notebooks": (
        "anywidget",
        "matplotlib",
        "nbconvert",
        "papermill",
        "seaborn",
        "voila",
    ),
    "scale": ("distributed", "filelock", "fsspec", "pyarrow"),
    "heic": ("pillow_heif",),
}

# TensorFlow's wheel for processors only has a name of its own.
PACKAGES = (
    "digits",
    "numpy",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "onnxruntime",
    "scikit-learn",
    "matplotlib",
)
# What decides a result. Reports that are committed, and stray files, do not.
CODE = ("benchmarks", "digits", "notebooks", "requirements.lock")


def missing_packages(extra: str) -> list[str]:
    """Return what an extra of pyproject.toml would install and is not there."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def package_versions() -> dict[str, str]:
    """Return Python's version and those of the installed packages that decide a result."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """Return the commit of the code, "+changes" added if it is not clean, or "" outside of git."""
    if PACKAGE.parent != ROOT:  # installed: what it was built from is not known
        return ""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.strip()
