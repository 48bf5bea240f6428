"""Fine-tuning: a trained network learns one person's hand from a few pictures, and forgets little.

Only the fully connected layers are trained. Twenty pictures could only spoil the convolutions, which
have learned from 60,000 digits; and because these stay fixed, each image passes them once, and the
rest takes seconds. Beside the new pictures the network sees images that it reads well already, with
its own earlier probabilities as targets, so that it keeps its answers (Li and Hoiem, 2016, "Learning
without Forgetting", with Hinton, Vinyals and Dean's distillation, 2015).

The constants were settled on invented writers (`digits.data.writers`) and MNIST's validation images.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from digits import InputError, evaluation
from digits.config import CHAMPION
from digits.data import Dataset, synthesis
from digits.data.examples import Examples
from digits.evaluation import Score
from digits.recognizer import Recognizer
from digits.storage import replaced_folder
from digits.training import augmentation, card
from digits.training.backend import keras
from digits.training.fit import reseed
from digits.training.model import as_input, load_network

STEPS = 200
LEARNING_RATE = 3e-3  # at the beginning, then a cosine down to 0
NEW, REPLAYED = 32, 96  # images of each kind in a batch
# How many new images a replayed one weighs: the least of these with which nothing is forgotten. At 1
# a hand is learned best, and MNIST's error rises by 0.2 points; at 10 by about 0.1.
REPLAY_WEIGHTS = (10.0, 30.0, 100.0)
AUGMENTATION = 0.5  # strength; the pictures of one hand are more alike than those of many
COPIES = (4, 40)  # fewest and most variations of each picture that augmentation makes
N_VARIATIONS = 1200  # in all, where the number of copies is between these bounds
N_REPLAY = 4000  # training images that are replayed, or as many as there are
# Of so many times as many, those that the network is least sure of are this share of the replayed: what
# it hesitates at is forgotten first. With six writers, a third fewer validation images were forgotten.
CANDIDATES, UNSURE = 4, 1 / 8
N_SYNTHETIC = 500  # replayed besides: synthetic digits, and as many synthetic other things
FOLDS = 5
LARGEST_FALL = 0.001  # of the validation accuracy; more is refused


@dataclass(frozen=True)
class Outcome:
    """The result of fine-tuning.

    Attributes
    ----------
    hand_before, hand_after : Score
        On the examples. After: each is read by a network fitted on the other folds, which has not
        seen it.
    still_wrong : tuple of (str, int, int)
        Name, label and reading of the examples that such a network misreads.
    val_before, val_after : Score
        On the validation images of the data set that was replayed, by the exported models.
    """

    hand_before: Score
    hand_after: Score
    still_wrong: tuple[tuple[str, int, int], ...]
    val_before: Score
    val_after: Score

    @property
    def problem(self) -> str:
        """Why the new model is worse than the one that it started from, or ""."""
        more, n = self.val_after.n_wrong - self.val_before.n_wrong, self.val_after.n_scored
        if has_forgotten(more, n):
            return (
                f"it reads {more} more of {n:,} validation images wrong, which is over "
                f"{100 * LARGEST_FALL:.1f} points"
            )
        if self.hand_after.n_wrong > self.hand_before.n_wrong:
            return (
                f"it misreads {self.hand_after.n_wrong} of the pictures instead of "
                f"{self.hand_before.n_wrong}; look whether the labels are right, or add pictures"
            )
        return ""

    def __str__(self) -> str:
        wrong = [f"{name} ({label}) as {read}" for name, label, read in self.still_wrong]
        return "\n".join(
            [
                f"the hand before: {self.hand_before}",
                f"the hand after:  {self.hand_after}, each picture read by a network taught others",
                *([f"still misread:   {', '.join(wrong)}"] if wrong else []),
                f"others before:   {self.val_before}",
                f"others after:    {self.val_after}",
            ]
        )


class Adapter:
    """A trained network whose fully connected layers can be fitted again and again from the start.

    Methods speak of images, uint8 (n, 28, 28); their features after the convolutions, float32 (n, k);
    those of `copies` variations of each image, float32 (n, copies, k); and labels, integers (n,).

    Parameters
    ----------
    folder : path
        Of the model to start from: holds ``model.keras`` and ``card.json``.
    dataset : Dataset
        Its training images are replayed.
    seed : int
        Chooses the replayed images.

    Raises
    ------
    InputError
        If there is no model that Keras can read, or it has no layer named "flatten".
    """

    def __init__(self, folder: str | os.PathLike, dataset: Dataset, seed: int = 0):
        self.network = load_network(folder)
        if not any(layer.name == "flatten" for layer in self.network.layers):
            raise InputError(
                f"{folder} holds a network without a layer named flatten, whose output is what "
                "fine-tuning begins with; name yours so"
            )
        # The same layers twice: up to the last convolution's features, and from there.
        features = self.network.get_layer("flatten").output
        self._body = keras.Model(self.network.input, features)
        self._head = keras.Model(features, self.network.output)
        for layer in self._head.layers:
            # Statistics of a few pictures would replace those of 60,000.
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        self._start = self._head.get_weights()
        self._head.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)),
            keras.losses.CategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        rejects = self.network.output_shape[-1] > evaluation.N_DIGITS
        images = _images_to_replay(dataset, rejects, seed)
        features = {kind: self.features(part) for kind, part in images.items()}
        chosen = self._choose_replayed(features["training images"])
        features["training images"] = features["training images"][chosen]
        self.n_replayed = {kind: len(part) for kind, part in features.items()}
        self._replay = np.concatenate(list(features.values()))
        self._kept = self._soft_targets(self._replay)

    def _soft_targets(self, features: np.ndarray) -> np.ndarray:
        return softmax(np.float64(self.logits(features)), axis=1).astype(np.float32)

    def _choose_replayed(self, features: np.ndarray) -> np.ndarray:
        """Return which candidates are replayed: those that the network is least sure of, and others."""
        by_confidence = self._soft_targets(features).max(axis=1).argsort()
        unsure = by_confidence[: round(UNSURE * N_REPLAY)]
        others = np.setdiff1d(np.arange(len(features)), unsure)  # which are in random order
        return np.concatenate([unsure, others])[:N_REPLAY]

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the images' features."""
        return self._body.predict(as_input(images), batch_size=256, verbose=0)

    def augment_features(self, images: np.ndarray, seed: int, copies: int | None = None):
        """Return the features of augmented copies; `copies` depends on the number of images."""
        if copies is None:
            copies = int(np.clip(N_VARIATIONS // len(images), *COPIES))
        augment = keras.Sequential(augmentation.layers(AUGMENTATION, seed))
        repeated = np.repeat(as_input(images), copies, axis=0)
        changed = [
            keras.ops.convert_to_numpy(augment(repeated[start : start + 512], training=True))
            for start in range(0, len(repeated), 512)
        ]
        found = self._body.predict(np.concatenate(changed), batch_size=256, verbose=0)
        return found.reshape(len(images), copies, -1)

    def reset(self) -> None:
        """Return to the weights that the network came with."""
        self._head.set_weights(self._start)

    def fit(
        self,
        variations: np.ndarray,
        labels: np.ndarray,
        seed: int = 0,
        *,
        replay: bool = True,
        weight: float = REPLAY_WEIGHTS[0],
    ) -> None:
        """Fit the fully connected layers, from the weights that the network came with.

        The seed draws the batches. Without `replay` they hold new images alone; with it a replayed
        image counts as `weight` new ones.
        """
        self.reset()
        for variable in self._head.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))  # moments, and the schedule's step
        reseed(self._head, seed, epoch=0)
        rng = np.random.default_rng([seed, 6])
        copies = variations.shape[1]
        x = variations.reshape(-1, variations.shape[2])
        targets = np.eye(self._kept.shape[1], dtype=np.float32)[np.repeat(labels, copies)]
        weights = np.repeat(np.float32([1, weight]), [NEW, REPLAYED])
        for _ in range(STEPS):
            i = rng.integers(len(x), size=NEW)
            j = rng.integers(len(self._replay), size=REPLAYED if replay else 0)
            batch = np.concatenate([x[i], self._replay[j]])
            target = np.concatenate([targets[i], self._kept[j]])
            self._head.train_on_batch(batch, target, sample_weight=weights[: len(batch)])

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return the network's outputs, float32 (n, 10), or (n, 11) with a reject class."""
        return self._head.predict(features, batch_size=4096, verbose=0)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the likeliest digits, int64 (n,)."""
        return self.logits(features)[:, : evaluation.N_DIGITS].argmax(axis=1)

    def error(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of images that are misread, 0 to 1."""
        return float((self.predict(features) != labels).mean())

    def choose_weight(self, variations, labels, validation, seed: int = 0) -> float:
        """Return the least of `REPLAY_WEIGHTS` with which validation images are not forgotten.

        `validation` is a pair: features and labels.
        """
        n = len(validation[1])
        self.reset()
        before = self.error(*validation)
        for weight in REPLAY_WEIGHTS:
            self.fit(variations, labels, seed, weight=weight)
            if not has_forgotten(round(n * (self.error(*validation) - before)), n):
                break
        return weight

    def cross_val_predict(
        self, variations, features, labels, seed: int = 0, weight: float = REPLAY_WEIGHTS[0]
    ) -> np.ndarray:
        """Return the digits, int64 (n,), each read by a network fitted on the other folds."""
        folds = split_folds(labels, seed)
        predicted = np.empty(len(labels), np.int64)
        for fold in range(FOLDS):
            held_out = folds == fold
            self.fit(variations[~held_out], labels[~held_out], seed, weight=weight)
            predicted[held_out] = self.predict(features[held_out])
        return predicted


def finetune(
    examples: Examples,
    dataset: Dataset,
    output: str | os.PathLike,
    *,
    base: str | os.PathLike = CHAMPION,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Fine-tune a model on the examples of one hand and write it into a folder of its own.

    Parameters
    ----------
    examples : Examples
    dataset : Dataset
        Its training images are replayed; its validation images calibrate, and say whether something
        was forgotten. Its test images are read once, for the card.
    output : path
        The new model's folder, which `Recognizer.load` takes. It replaces an earlier one when it is
        complete, and not worse than `base`.
    base : path
        The folder of the model to start from.
    seed : int
    force : bool
        Keep the model even if it is worse: if it misreads more of the hand, or if its validation
        accuracy has fallen by more than `LARGEST_FALL`.
    progress : callable, optional
        Called with a line about what is done next.

    Raises
    ------
    InputError
        If the examples are too few, there is no `base`, or `output` cannot be written or holds
        something other than a model.
    """
    examples.require_enough()
    output, labels = Path(output), examples.labels
    is_free = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not is_free and not (output / "card.json").exists():
        raise InputError(f"{output} holds something other than a model; name a new folder")
    say = progress or (lambda line: None)
    started = time.perf_counter()
    earlier, before = card.load(base), Recognizer.load(base)
    with replaced_folder(output) as partial:
        say("preparing images to be replayed")
        adapter = Adapter(base, dataset, seed)
        variations = adapter.augment_features(examples.images, seed)
        say("choosing how much is replayed, on validation images")
        validation = adapter.features(dataset.x_val), dataset.y_val
        weight = adapter.choose_weight(variations, labels, validation, seed)
        say(f"reading each picture by a network taught the others, in {FOLDS} rounds")
        features = adapter.features(examples.images)
        read = adapter.cross_val_predict(variations, features, labels, seed, weight)
        say("learning from all pictures")
        adapter.fit(variations, labels, seed, weight=weight)
        for layer in adapter.network.layers:
            layer.trainable = True  # as a trained network is saved: who trains it on decides anew
        seconds = time.perf_counter() - started
        say(f"measuring on the validation images of {dataset.name}")
        hand_before = _score(before.predict(examples.images)["digit"], labels)
        hand_after = _score(read, labels)
        val_before = _score(before.predict(dataset.x_val)["digit"], dataset.y_val)
        facts = {
            "n_train": len(labels),
            **{key: earlier[key] for key in ("config", "n_parameters", "epoch")},
            "started_from": {key: earlier[key] for key in card.OF_BASE if key in earlier},
            "finetuning": {
                "n_by_digit": np.bincount(labels, minlength=evaluation.N_DIGITS).tolist(),
                "seed": seed,
                "steps": STEPS,
                "replayed": adapter.n_replayed,
                "replay_weight": weight,
                "folds": FOLDS,
                "hand_before": asdict(hand_before),
                "hand_after": asdict(hand_after),
                "val_before": asdict(val_before),
            },
            "training_seconds": round(seconds, 1),
        }
        val = card.write(partial, adapter.network, dataset, facts)["metrics"]["val"]
        val_after = Score.of(val["n_scored"], val["n_wrong"])
        wrong = np.flatnonzero(read != labels)
        still_wrong = tuple((examples.names[i], int(labels[i]), int(read[i])) for i in wrong)
        outcome = Outcome(hand_before, hand_after, still_wrong, val_before, val_after)
        if outcome.problem and not force:
            shutil.rmtree(partial)
    return outcome


def split_folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a fold, 0 to `FOLDS` - 1, for each label, equal labels spread over the folds."""
    order = np.lexsort([np.random.default_rng([seed, 7]).random(len(labels)), labels])
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def has_forgotten(n_more: int, n: int) -> bool:
    """Return whether so many more of `n` images misread are over `LARGEST_FALL`, and over one."""
    return n_more > max(1, LARGEST_FALL * n)


def _images_to_replay(dataset: Dataset, rejects: bool, seed: int) -> dict[str, np.ndarray]:
    """Return uint8 images (n, 28, 28) that the network shall go on reading as it does, by kind.

    Of the training images `CANDIDATES` times as many as are replayed.
    """
    rng = np.random.default_rng([seed, 8])
    chosen = rng.permutation(len(dataset.y_train))[: CANDIDATES * N_REPLAY]
    images = {
        "training images": dataset.x_train[chosen],
        "synthetic digits": synthesis.digits(N_SYNTHETIC, seed)[0],
    }
    if rejects:
        x, y = dataset.x_train, dataset.y_train
        images["not digits"] = synthesis.non_digits(N_SYNTHETIC, x, y, seed)
    return images


def _score(read, labels: np.ndarray) -> Score:
    return Score.of(len(labels), int((read != labels).sum()))
