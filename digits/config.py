"""Paths, the validated `Config` with its profiles, and what made a result: commit and versions."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
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
        Strength of the augmentation in the first epoch: 0 none, 1 the most.
    augmentation_end : float
        Share of that strength that is left in the last epoch, 0 to 1; it falls evenly.
    extra : bool
        Train also on the embedded digits' training images and on synthetic digits (`synthesis`).
    reject : bool
        Give the network an 11th class, "not a digit", trained on synthetic images.
    epochs : int
    batch_size : int
    learning_rate : float
        Peak of the one-cycle schedule.
    learning_rate_end : float
        Share of the peak at which the schedule ends, 0 to 1. Above 0 the weights go on moving, and
        with `ema` what is kept is the middle of where they move.
    weight_decay : float
        Decoupled weight decay (AdamW).
    ema : float
        Momentum of the exponential moving average of the weights, which is what is kept of each epoch:
        0 none, 0.999 a memory of about 1000 steps.
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
    augmentation_end: float = 1.0
    extra: bool = False
    reject: bool = False
    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 4e-3
    learning_rate_end: float = 0.0
    weight_decay: float = 1e-4
    ema: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        filters_fit = 2 <= len(self.filters) <= 6 and all(1 <= n <= 512 for n in self.filters)
        kernels_fit = len(self.kernels) == len(self.filters) and all(
            1 <= side <= 7 for side in self.kernels
        )
        for name, fits, expected in (
            ("seed", self.seed >= 0, "an integer from 0"),
            ("filters", filters_fit, "two to six numbers from 1 to 512"),
            ("kernels", kernels_fit, "as many sides as filters, each from 1 to 7"),
            ("dense_units", 1 <= self.dense_units <= 4096, "1 to 4096"),
            ("dropout", 0 <= self.dropout < 1, "at least 0 and below 1"),
            ("augmentation", 0 <= self.augmentation <= 2, "0 to 2"),
            ("augmentation_end", 0 <= self.augmentation_end <= 1, "0 to 1"),
            ("epochs", 1 <= self.epochs <= 1000, "1 to 1000"),
            ("batch_size", 1 <= self.batch_size <= 8192, "1 to 8192"),
            ("learning_rate", 0 < self.learning_rate <= 1, "above 0 and at most 1"),
            ("learning_rate_end", 0 <= self.learning_rate_end <= 1, "0 to 1"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "0 to 1"),
            ("ema", 0 <= self.ema < 1, "at least 0 and below 1"),
            ("precision", self.precision in PRECISIONS, " or ".join(PRECISIONS)),
        ):
            if not fits:
                raise InputError(
                    f"{name}={getattr(self, name)!r} is not valid: expected {expected}"
                )

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
        kinds = {field.name: type(field.default) for field in dataclasses.fields(self)}
        for name in overrides:
            if name not in kinds:
                raise InputError(f"unknown setting {name!r}; the settings are {', '.join(kinds)}")
        values = {name: converted(name, value, kinds[name]) for name, value in overrides.items()}
        return dataclasses.replace(self, **values)

    def with_overrides(self, assignments: Sequence[str]) -> Config:
        """Return a copy changed by command-line assignments such as ``"epochs=12"``."""
        return self.replace(**parse_assignments(assignments))

    def to_dict(self) -> dict:
        """Return the settings as a dictionary that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Return names and values of "NAME=VALUE" texts; `InputError` for a text of another form."""
    values = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise InputError(f"{assignment!r} is not valid: expected NAME=VALUE, as in epochs=12")
        values[name.strip()] = value.strip()
    return values


def converted(name: str, value, kind: type):
    """Return `value`, often text, as a `kind`: bool, int, float, str, or a tuple of int.

    Raises
    ------
    InputError
        If that is not possible; `name` says which value it is.
    """
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind is tuple:
            return tuple(
                int(part) for part in (value.split(",") if isinstance(value, str) else value)
            )
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return kind(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        expected = "comma-separated int" if kind is tuple else kind.__name__
        raise InputError(f"{name}={value!r} is not valid: expected {expected}") from None


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
        filters=(32, 64, 128, 128, 192),
        kernels=(3, 3, 3, 3, 3),
        dense_units=192,
        augmentation=1.0,
        augmentation_end=0.3,
        extra=True,
        reject=True,
        epochs=60,
        learning_rate_end=0.15,
        ema=0.999,
        precision="mixed_bfloat16",
    ),
}


def default_run_dir(data: str, profile: str, seed: int) -> Path:
    """Return the run folder that notebooks 03 and later share where none is named."""
    return RUNS / f"{data}-{profile}-{seed}"


# The packages that the extras of pyproject.toml install, by the names that are imported.
EXTRAS = {
    "train": ("filelock", "jinja2", "keras", "pandas", "pooch", "scipy", "sklearn"),
    "notebooks": ("anywidget", "matplotlib", "nbconvert", "papermill", "seaborn", "voila"),
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
    import importlib.metadata  # takes longer than all else here

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """Return the commit of the code, "+changes" added if it is not clean, or "" outside of git."""
    import subprocess

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return run.stdout.strip()

    if PACKAGE.parent != ROOT:  # installed: what it was built from is not known
        return ""
    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.SubprocessError):
        return ""
