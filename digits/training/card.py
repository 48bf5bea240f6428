"""The model card for people, written from ``card.json`` and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from digits.config import Config

FILE = "MODEL_CARD.md"

LICENCES = {
    "mnist": "MNIST: Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0.",
    "embedded": "UCI optical digits: E. Alpaydin, C. Kaynak; CC BY 4.0.",
}


def write(folder: str | Path) -> Path:
    """Write `FILE` into a folder that holds ``card.json``; return its path."""
    folder = Path(folder)
    target = folder / FILE
    target.write_text(render(json.loads((folder / "card.json").read_text())))
    return target


def problem(card: dict) -> str:
    """Say what keeps a card from being one that `render`, and runs that start from it, can use."""
    try:
        render(card)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        return f"its card.json is not whole ({type(error).__name__}: {error})"
    return ""


def render(card: dict) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    card : dict
        What `training.train` writes as ``card.json``.
    """
    config, metrics = card["config"], card["metrics"]
    rejects = config["reject"]
    sections = [
        f"# Model card: {card['name']}",
        "Generated from `card.json`; change nothing here by hand.",
        "## What it is for",
        "Reading single handwritten digits, 0 to 9, in MNIST form (28x28 grey, white ink on black, "
        "centred), which `digits.pictures` makes from photos, scans and drawings. It answers with "
        "a digit and a confidence, and calls answers below its threshold unsure.",
        "It is not for printed text, letters, other scripts, or decisions about people that nobody "
        "checks (marks, ballots, cheques, doses): read those twice, by a person.",
        "## The network",
        f"{card['n_parameters']:,} parameters; convolutions of {_words(config['filters'])} filters "
        f"(kernels {_words(config['kernels'])}), max-pooling after every second, dropout, a fully "
        f"connected layer of {config['dense_units']}, "
        + ("ten outputs and one for what is no digit." if rejects else "ten outputs."),
        "## What it was trained on",
        *_data(card),
        "No test image and no picture that is used for measuring was trained on.",
        "## How it was made",
        _table(
            ("what", "value"),
            [
                ("command", _commands(card)),
                *_length(card),
                ("training time", f"{_seconds(card) / 60:.1f} minutes on {card['machine']}"),
                ("made", card["created"]),
                ("commit", f"`{card['commit']}`"),
                ("data digest", f"`{card['data_digest'][:16]}`"),
                ("versions", ", ".join(f"{k} {v}" for k, v in card["versions"].items())),
            ],
        ),
        "## Results",
        _choices(card),
        _table(
            ("images", "n", "wrong", "accuracy", "95 % interval", "calibration error",
             "accepted", "of them wrong"),
            [_result(name, metrics[part]) for part, name in (("val", "validation"), ("test", "test"))],
        ),
        f"Temperature {card['temperature']:.3f}, threshold {card['threshold']:.4f}. "
        + _non_digits(metrics["val"]["synthetic_non_digits"]),
        *_readings(card),
        *_measured(card),
        "## Limits and risks",
        "- Writing habits that neither MNIST nor the synthetic digits hold are read worse, and "
        "children's writing has not been measured.",
        "- A confidence is calibrated on images like the validation set; on worse pictures it is "
        "too high.",
        "- Letters that look like digits (O, l, S, Z, B) are read as digits."
        if rejects
        else "- Whatever it is shown it takes for a digit: it has no class for other things.",
        "## Licence",
        "The network: MIT, as the project. " + " ".join(LICENCES.values()),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _data(card: dict) -> list[str]:
    if "finetuning" in card:
        return [*_hand(card), "Before that, the model that it started from:",
                *_data(card["started_from"])]  # fmt: skip
    lines = [f"- {card['n_train']:,} images of handwriting: the training images of {card['data']}"]
    if card["config"]["extra"] and card["data"] != "embedded":
        lines[0] += (
            ", and twice those of the UCI digits inside scikit-learn (without its test fifth)"
        )
    made = card["n_synthetic"]
    if made["digits"]:
        lines.append(
            f"- {made['digits']:,} synthetic digits: flagged 1s, crossed 7s, mouse lines, print, "
            "and training digits read off poor pictures; a third of them in each epoch"
        )
    if made.get("spoiled digits"):  # cards of before they were made do not count them
        lines.append(
            f"- {made['spoiled digits']:,} training digits spoiled: hollow, half in the dark, shaken, "
            "frosted, crossed out, out of place; a third in each epoch"
        )
    if made["not digits"]:
        lines.append(
            f"- {made['not digits']:,} synthetic images that are no digit: letters and signs, "
            "scribbles, shapes, textures, several digits in one frame; a third in each epoch"
        )
    return ["\n".join(f"{line}." for line in lines)]


def _length(card: dict) -> list[tuple]:
    if "finetuning" in card:
        return [("steps of fine-tuning", card["finetuning"]["steps"])]
    config = card["config"]
    return [
        ("epochs, batch", f"{config['epochs']}, {config['batch_size']}"),
        ("epoch chosen on validation", card["epoch"]),
    ]


def _choices(card: dict) -> str:
    if "finetuning" in card:
        return (
            "Validation chose the temperature and the threshold. The test set was read once, after "
            "those choices; a model that has lost too much on it is not saved without --force."
        )
    return (
        "Validation chose the epochs, the temperature and the threshold. The test set was read once "
        "for this table, after those choices; then once for each epoch, for a figure that chooses "
        "nothing."
    )


def _hand(card: dict) -> list[str]:
    """Return what a fine-tuned model learned from, and what that gained."""
    facts = card["finetuning"]
    counts = ", ".join(f"{n} of {digit}" for digit, n in enumerate(facts["n_by_digit"]) if n)
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in facts["replayed"].items())
    before, after = facts["hand_before"], facts["hand_after"]
    return [
        f"- {card['n_train']} pictures of one hand ({counts}).\n"
        f"- Replayed beside them, so that nothing is forgotten: {kinds} ({card['data']}).",
        f"Of the {before['n_scored']} pictures the model that it started from misreads "
        f"{before['n_wrong']}. Read by networks that were taught only the others, in {facts['folds']} "
        f"rounds, {after['n_wrong']} are misread. On the test images that model has "
        f"{facts['test_before']['n_wrong']} wrong of {facts['test_before']['n_scored']:,}.",
    ]


def _readings(card: dict) -> list[str]:
    """Return what the whole reader makes of the test images, where the card holds it."""
    readings = card.get("readings")
    if not readings:
        return []
    n, right, unsure, wrong = (readings[name] for name in ("n_scored", "right", "unsure", "wrong"))
    return [
        f"Read as pictures are, from ink to digit (commit `{readings['commit']}`), {right:,} of the "
        f"{n:,} test images are answered right and for certain, {unsure:,} are unsure, and {wrong:,} "
        "are wrong though certain."
    ]


def _measured(card: dict) -> list[str]:
    """Return what was measured after training, where the card holds it."""
    corruptions = card.get("corruptions")
    if not corruptions:
        return []
    rows = [
        (name, f"{100 * error:.2f} %", f"{100 * low:.2f} to {100 * high:.2f} %")
        for name, (error, low, high) in corruptions["error"].items()
    ]
    return [
        f"Error on {corruptions['n_scored']:,} validation images after each of {len(rows)} corruptions "
        f"that training does not use; mean {100 * corruptions['mean']:.2f} %:",
        _table(("corruption", "error", "95 % interval"), rows),
    ]


def _non_digits(measured: dict) -> str:
    return (
        f"Of {measured['n_scored']:,} synthetic images that are no digit, {measured['accepted']:.1%} "
        f"are accepted (95 % interval {measured['low']:.1%} to {measured['high']:.1%}); the "
        f"confidence tells them from validation digits with an AUROC of {measured['auroc']:.4f}."
    )


def _commands(card: dict) -> str:
    """Return the commands that repeat the run, an earlier run's first."""
    if "averaged" in card:
        chain = {key: value for key, value in card.items() if key != "averaged"}
        return f"{_commands(chain)}, then `digits average{' RUN' * len(card['averaged'])}`"
    earlier = card.get("started_from")
    before = _commands({"data": card["data"], **earlier}) + ", then " if earlier else ""
    if "finetuning" in card:
        seed = card["finetuning"]["seed"]
        return f"{before}`digits finetune FOLDER --data {card['data']} --seed {seed}`"
    config = card["config"]
    profile = Config.from_profile(config["profile"], seed=config["seed"]).to_dict()
    changed = [
        f" --set {name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in config.items()
        if value != profile[name]
    ]
    command = (
        f"digits train --data {card['data']} --profile {config['profile']} "
        f"--seed {config['seed']}{''.join(changed)}{' --start RUN' if earlier else ''}"
    )
    return f"{before}`{command}`"


def _seconds(card: dict) -> float:
    """Return the training time, that of an earlier run included."""
    earlier = card.get("started_from")
    return card["training_seconds"] + (_seconds(earlier) if earlier else 0)


def _result(name: str, m: dict) -> tuple:
    return (
        name, f"{m['n_scored']:,}", m["n_wrong"], f"{100 * m['value']:.2f} %",
        f"{100 * m['low']:.2f} to {100 * m['high']:.2f} %",
        f"{100 * m['expected_calibration_error']:.2f} %", f"{100 * m['accepted']:.2f} %",
        m["accepted_wrong"],
    )  # fmt: skip


def _words(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
