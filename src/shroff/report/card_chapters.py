"""What the records know of a model, as the parts of its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shroff.evaluate import NEVER
from shroff.experiment import RunRecord
from shroff.report.blocks import share
from shroff.report.money import cost_in_words
from shroff.report.parts import Bullets, Facts, Grid, Paragraph, Part

_TITLES: Final = {
    "owner": "Owner",
    "contact": "Contact",
    "purpose": "Purpose",
    "uses": "Meant for",
    "not_for": "Not meant for",
    "data": "Data",
    "labels": "Labels",
    "limits": "Limits",
    "monitoring": "Monitoring",
    "approvals": "Approvals",
}
_FIGURES: Final = {
    "average_precision": "Average precision",
    "roc_auc": "ROC AUC",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "brier": "Brier score",
    "log_loss": "Log loss",
}
_PARTS: Final = ("Part", "Payments", "Frauds")
_DECISIONS: Final = ("Way to decide", "Reviews", "Challenges", "Declines", "Cost")
_MOST_INPUTS: Final = 20

REGULATION: Final[Sequence[Part]] = (
    Paragraph(
        "EU AI Act (Regulation (EU) 2024/1689), Annex III, point 5(b): systems that evaluate the "
        "creditworthiness of natural persons or establish their credit score are high-risk, with "
        "the exception of systems used to detect financial fraud."
    ),
    Paragraph(
        "Classification: not high-risk by point 5(b), by that exception. The model gives the "
        "probability that a payment is fraud, and its decisions concern that payment alone. The "
        "exception ends where a score is used for something else: to judge whether somebody gets "
        "credit, insurance or an account would be a use of its own, to be classified anew."
    ),
    Paragraph(
        "The other points of Annex III, the duties of transparency, and the law on automated "
        "decisions about persons (Article 22 of the GDPR) depend on the uses above, and are for "
        "the owner to judge."
    ),
    Paragraph(
        "The headings of this card are those of the validation of models in SR 11-7 (Federal "
        "Reserve, 2011), which SR 26-2 superseded in April 2026."
    ),
)


def stated(name: str, value: str | Sequence[str]) -> Part:
    """What people declared under a name."""
    if isinstance(value, str):
        return Facts([(_TITLES[name], value)])
    return Facts([(_TITLES[name], one) for one in value])


def identity(run: RunRecord, stage: str) -> list[Part]:
    """Which model it is."""
    bundle = run.bundle or {}
    return [
        Facts(
            [
                ("Detector", f"`{run.figures['best']}`"),
                ("Version", bundle.get("version", "none: not packaged")),
                ("Stage", stage),
                ("Trained", f"{run.began[:16].replace('T', ' ')} UTC, by the run {run.run}"),
            ]
        )
    ]


def policy(run: RunRecord) -> list[Part]:
    """How its probabilities become decisions."""
    asked, best = run.parameters["policy"], run.figures["detectors"][run.figures["best"]]
    cost, by_cost, cuts = asked["cost"], best.get("by_cost"), best["thresholds"]
    if by_cost and by_cost["in_force"]:
        how = "Each payment gets the action that is expected to cost least."
    else:
        how = (
            f"A payment is {_from('reviewed', cuts['review_at'])} and "
            f"{_from('declined', cuts['decline_at'])}."
        )
    reviews, minutes = asked["reviews_per_day"], asked.get("minutes_per_day")
    capacity = "any number" if reviews is None else f"at most {reviews:,}"
    facts = [
        ("Decision", how),
        (
            "Costs",
            f"a review {cost_in_words(cost['review'])}, a missed fraud "
            f"{cost_in_words(cost['missed'])}, a declined genuine payment "
            f"{cost_in_words(cost['declined'])}{_challenge(cost.get('challenge'))}",
        ),
        ("Reviews a day", capacity if minutes is None else f"at most {minutes:,g} minutes of them"),
    ]
    facts += [
        (f"Rule {rule['name']}", f"`{rule['condition']}`: {rule['action']}")
        for rule in asked["rules"]
    ]
    return [Facts(facts)]


def _challenge(known: Mapping[str, float] | None) -> str:
    """What a challenge is taken to do, if payments are challenged."""
    if known is None:
        return ""
    return (
        f"; a challenge {known['cost']:g}: {known['passed']:.1%} of frauds pass it, of whose loss "
        f"{known['liable']:.0%} stays here, and {known['abandoned']:.1%} of genuine payments are "
        "given up"
    )


def data(run: RunRecord) -> list[Part]:
    """The payments: their period, their parts, and what was left out."""
    figures = run.figures
    rows = [
        (name, f"{part['payments']:,}", "–" if part["frauds"] is None else f"{part['frauds']:,}")
        for name, part in figures["parts"].items()
    ]
    left = [
        f"{count:,} rows dropped: {reason}" for reason, count in figures.get("dropped", {}).items()
    ]
    left += figures.get("notices", [])
    currencies = figures.get("currencies") or {}
    spread = ", ".join(f"{count:,} in {code}" for code, count in currencies.items())
    return [
        Paragraph(figures["outlook"]),
        Grid("Payments by part; what is neither train nor test was left out", _PARTS, rows),
        *([Paragraph(f"Labelled payments by currency: {spread}.")] if spread else []),
        Bullets(left or ["No row was dropped by cleaning."]),
    ]


def labels(run: RunRecord) -> list[Part]:
    """The delay of the labels, and payments without one."""
    parts = run.figures["parts"]
    unlabelled = parts.get("unlabelled", {}).get("payments", 0)
    delay = (
        f"Between the days learned from and those judged by, {parts['delay']['payments']:,} "
        "payments are left out, in whose days the labels of the former came in."
        if "delay" in parts
        else "No days are left out for labels to come in."
    )
    return [
        Paragraph(
            f"The split is `{run.figures['split']}`. {delay} {unlabelled:,} payments have no label."
        )
    ]


def method(run: RunRecord) -> list[Part]:
    """The detector, what it was compared with, and its inputs."""
    best, figures = run.figures["best"], run.figures
    rows = [
        (
            f"`{name}`",
            f"{one['held_out_average_precision']:.3f}",
            f"{one['test']['average_precision']:.3f}",
            _interval(run.evaluation[name].intervals.get("average_precision")),
        )
        for name, one in figures["detectors"].items()
    ]
    chosen = ", ".join(f"{name} {value}" for name, value in _learned_with(run, best).items())
    needed = list(run.importance.items())[:_MOST_INPUTS]
    parts: list[Part] = [
        Paragraph(
            f"`{best}` had the best average precision on payments held out of the training part, "
            "later than those it learned from where the split is in time; the test part was not "
            "looked at for the choice."
        ),
        Grid(
            "Detectors compared, by average precision",
            ("Detector", "Held out", "Test", "95 % interval"),
            rows,
        ),
        Paragraph(f"Parameters: {chosen or 'none'}."),
        Paragraph(f"Inputs: {', '.join(f'`{name}`' for name in figures['inputs'])}."),
    ]
    if needed:
        parts.append(
            Grid(
                "Average precision lost when an input is shuffled",
                ("Input", "Loss"),
                [(f"`{name}`", f"{loss:z.3f}") for name, loss in needed],
            )
        )
    return parts


def _learned_with(run: RunRecord, name: str) -> dict[str, Any]:
    """The parameters of the detector: those that were asked for, and over them the tuned ones."""
    detectors = run.figures["detectors"]  # in the order in which they were asked for
    asked = dict(zip(detectors, run.parameters["detectors"], strict=True))[name]
    tuned = (detectors[name].get("tuning") or {}).get("parameters", {})
    return {key: value for key, value in {**asked, **tuned}.items() if key != "name"}


def outcomes(run: RunRecord) -> list[Part]:
    """Figures on the test part with intervals, in money, and by segment."""
    best = run.figures["best"]
    one, shown = run.figures["detectors"][best], run.evaluation[best]
    test = one["test"]
    figures = [
        (
            title,
            f"{test[name]:.3f}",
            _interval(shown.intervals.get(name)),
            f"{one['train'][name]:.3f}",
        )
        for name, title in _FIGURES.items()
    ]
    caught = "–" if shown.caught is None else f"{shown.caught:,} of {test['frauds']:,}"
    genuine = test["n"] - test["frauds"]
    alarmed, value = shown.false_alerts, shown.value_detection_rate
    wrong = (
        f"{alarmed:,} of {genuine:,}, {share(alarmed, genuine, digits=2)}"
        if alarmed is not None
        else "–"
    )
    stopped = "–" if value is None else f"{value:.1%}"
    daily = [
        ("Alerts a day", f"{shown.alerts_per_day:.1f}"),
        ("Frauds not approved", caught),
        ("Genuine payments not approved", wrong),
        ("Fraud not approved, of the money lost to fraud", stopped),
        ("Recall at 1 % false positives", f"{shown.recall_at_1_percent:.3f}"),
    ]
    money = [
        (way.way, *(f"{one:,.2f}" for one in (way.reviews, way.challenges, way.declines, way.cost)))
        for way in shown.decisions
    ]
    return [
        Paragraph(
            f"Judged by {test['n']:,} payments that it did not learn from, {test['frauds']:,} of "
            "them frauds. Intervals of 95 % resample cards."
        ),
        Grid("Figures", ("Figure", "Test", "95 % interval", "Training"), figures),
        Facts(daily),
        *([Grid("Decisions a day", _DECISIONS, money)] if money else []),
        _segments(run),
    ]


def _segments(run: RunRecord) -> Part:
    segments = run.evaluation[run.figures["best"]].segments
    if not segments:
        return Paragraph("The payments have no columns to tell segments by.")
    rows = [
        (
            f"{one.column}: {one.value}",
            f"{one.payments:,}",
            f"{one.frauds:,}",
            share(one.caught, one.frauds),
            share(one.false_declines, one.payments - one.frauds, digits=2),
            "{:.2%} to {:.2%}".format(*one.false_decline_interval),
        )
        for one in segments
    ]
    head = ("Segment", "Payments", "Frauds", "Found", "Genuine declined", "95 % interval")
    return Grid("By segment", head, rows)


def findings(run: RunRecord) -> list[Part]:
    """What the doctor found, and what was accepted."""
    figures = run.figures
    found = [*figures["findings"], *figures["detectors"][figures["best"]]["findings"]]
    accepted = run.parameters.get("accept", ())
    said = [
        f"{one['severity']} of the doctor, {one['check']}: {one['sentence']}"
        + (" (accepted)" if one["check"] in accepted else "")
        for one in found
    ]
    return [Bullets(said or ["The doctor found nothing wrong with the data or the model."])]


def baseline(run: RunRecord) -> list[Part]:
    """What monitoring compares with."""
    best = run.figures["best"]
    shown, test = run.evaluation[best], run.figures["detectors"][best]["test"]
    frauds = share(test["frauds"], test["n"], digits=2)
    return [
        Paragraph(
            f"To compare with: {shown.alerts_per_day:.1f} alerts a day, {frauds} of fraud among "
            "payments, and the figures of the outcomes analysis. `shroff parity --ledger` compares "
            "live decisions with a recomputation, to the bit; `shroff replay` makes one again."
        )
    ]


def lineage(run: RunRecord) -> list[Part]:
    """The inputs of the run with their digests, and the code."""
    facts = [
        (role, f"{one['file']}, SHA-256 {one['sha256']}" if "file" in one else one["source"])
        for role, one in run.inputs.items()
        if isinstance(one, dict) and ("file" in one or "source" in one)
    ]
    if "dataset" in run.inputs:
        stored = run.inputs["dataset"]
        facts.append(("dataset", f"{stored['name']}, version {stored['version']}"))
    facts.append(("table learned from", f"SHA-256 {run.inputs['table']}"))
    groups = run.inputs.get("features", {}).items()
    facts.append(
        (
            "feature groups",
            ", ".join(f"{name} version {one['version']}" for name, one in groups) or "none",
        )
    )
    if run.bundle is not None:
        facts.append(("bundle", f"content SHA-256 {run.bundle['content']}"))
    facts.append(("code", ", ".join(f"{name} {version}" for name, version in run.code.items())))
    return [Facts(facts)]


def _from(done: str, threshold: float) -> str:
    return (
        f"never {done}" if threshold >= NEVER else f"{done} from a probability of {threshold:.3g}"
    )


def _interval(found: tuple[float, float] | None) -> str:
    return "–" if found is None else f"{found[0]:.3f} to {found[1]:.3f}"
