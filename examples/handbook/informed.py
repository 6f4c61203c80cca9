"""The handbook's payments with features that know more: what is known of a terminal, and what is
usual for a customer.

    shroff train examples/handbook/informed.py --data handbook.parquet

Labels are known after 7 days (`delay="7d"`); nothing here sees a younger one.
"""

from pathlib import Path
from statistics import NormalDist

from shroff import Entity, FeatureGroup, Project, load_project, sql
from shroff.detect import BoostedTrees, IsolationForest

known = load_project(Path(__file__).with_name("project.py"))
classic = known.features[0]
customer = Entity("customer", "CUSTOMER_ID")
terminal = Entity("terminal", "TERMINAL_ID")

terminals = FeatureGroup(
    "terminal_history",
    of=known.schema,
    description="Which frauds of a terminal are known, how old they are, and whether a genuine "
    "payment came after them",
    features=[
        terminal.count(
            ["1d", "7d", "14d", "28d"],
            where="TX_FRAUD",
            delay="7d",
            name="terminal_frauds_{window}",
        ),
        # frauds of ordinary amounts: those speak of the terminal, not of the card
        terminal.count(
            ["7d", "28d"],
            where="TX_FRAUD AND TX_AMOUNT <= 220",
            delay="7d",
            name="terminal_small_frauds_{window}",
        ),
        *(
            terminal.count(
                "7d",
                where="TX_FRAUD",
                delay=f"{days}d",
                name=f"terminal_frauds_{days}_to_{days + 7}_days",
            )
            for days in (14, 21, 28)
        ),
        terminal.count(
            ["7d", "28d"], where="NOT TX_FRAUD", delay="7d", name="terminal_genuine_{window}"
        ),
        terminal.seconds_since_last(
            "35d", where="TX_FRAUD", delay="7d", name="terminal_since_fraud"
        ),
        terminal.seconds_since_last(
            "35d", where="NOT TX_FRAUD", delay="7d", name="terminal_since_genuine"
        ),
        terminal.seconds_since_last("35d", delay="7d", name="terminal_since_known"),
        sql(
            "terminal_last_known_fraud",
            "CASE WHEN terminal_since_fraud IS NULL THEN 0"
            " WHEN terminal_since_genuine IS NULL OR terminal_since_fraud <= "
            "terminal_since_genuine THEN 1 ELSE 0 END",
        ),
    ],
)

# Limits of amounts, a quarter apart: the payments above `factor` times what is usual are those
# above the next limit.
LIMITS = [round(220 / 1.25**step, 2) for step in range(14, -1, -1)]


def above_usual(factor: float) -> str:
    """The count above the lowest limit that is at least `factor` times the usual amount, as SQL."""
    cases = (
        f"WHEN usual_amount * {factor} <= {limit} THEN above_{at}"
        for at, limit in enumerate(LIMITS)
    )
    return f"CASE {' '.join(cases)} ELSE above_{len(LIMITS) - 1} END"


MEANS = "mean_0, mean_15, mean_30, mean_45"

customers = FeatureGroup(
    "customer_habits",
    of=known.schema,
    description="What a payment's amount is beside what its customer usually pays",
    features=[
        customer.mean("TX_AMOUNT", "15d", name="mean_0"),
        *(
            customer.mean("TX_AMOUNT", "15d", delay=f"{days}d", name=f"mean_{days}")
            for days in (15, 30, 45)
        ),
        customer.mean("TX_AMOUNT", "90d", where="TX_AMOUNT <= 220", name="mean_90d"),
        # the median of four means: one fortnight of fraud does not move it
        sql(
            "usual_amount",
            f"COALESCE((mean_0 + mean_15 + mean_30 + mean_45 - GREATEST({MEANS}) - LEAST({MEANS})) "
            "/ 2,"
            f" LEAST({MEANS}), mean_90d)",
        ),
        sql("amount_to_usual", "TX_AMOUNT / usual_amount"),
        customer.mean("TX_AMOUNT", "60d", delay="14d", name="settled_amount"),
        sql("amount_to_settled", "TX_AMOUNT / settled_amount"),
        sql("fortnight_to_usual", "mean_0 / usual_amount"),
        *(
            customer.count("14d", where=f"TX_AMOUNT > {limit}", name=f"above_{at}")
            for at, limit in enumerate(LIMITS)
        ),
        sql("customer_high_14d", above_usual(2.5)),
        sql("customer_above_220_14d", f"above_{len(LIMITS) - 1}"),
        customer.count("14d", name="customer_count_14d"),
        customer.count("14d", where="TX_FRAUD", delay="7d", name="customer_frauds_14d"),
    ],
)

DAYS_KNOWN = 57
"""Age in days of a genuine payment that is older than any that the features see."""

# Rates that the simulator publishes; a bank takes them from its closed cases. On a day, 2 of 10,000
# terminals begin to be misused, for 28 days, and 3 of 5,000 customers lose their card, for 14 days,
# of whose payments a third is fraud: about 0.0025 of all payments. Half of those are above 220 and
# not counted here; on the validation folds half the rate makes no difference.
MISUSE_BEGINS, OTHER_FRAUD = 0.0002, 0.0025


def days_ago(name: str) -> str:
    """Seconds since a moment as calendar days before the payment's, as SQL."""
    return f"CEIL(({name} - second_of_day) / 86400)"


SMALL_FRAUD = "TX_FRAUD AND TX_AMOUNT <= 220"

series = FeatureGroup(
    "terminal_series",
    of=known.schema,
    description="How probable it is that a terminal's series of known frauds still goes on: it "
    "began after the last genuine payment, and lasts for 28 days",
    features=[
        sql("second_of_day", "DATE_DIFF('second', '2018-01-01', TX_DATETIME) % 86400"),
        terminal.seconds_since_last("56d", where=SMALL_FRAUD, delay="7d", name="small_fraud"),
        terminal.seconds_since_last(
            "56d", where=SMALL_FRAUD, delay="7d", n=2, name="small_fraud_before"
        ),
        terminal.seconds_since_first("22d", where=SMALL_FRAUD, delay="7d", name="first_fraud"),
        terminal.seconds_since_last("35d", where=SMALL_FRAUD, delay="28d", name="old_fraud"),
        terminal.seconds_since_last("56d", where="NOT TX_FRAUD", delay="7d", name="known_genuine"),
        terminal.min("TX_AMOUNT", "21d", where=SMALL_FRAUD, delay="7d", name="series_least_amount"),
        terminal.last("TX_AMOUNT", "21d", where=SMALL_FRAUD, delay="7d", name="series_last_amount"),
        sql("last_fraud_days", days_ago("small_fraud")),
        sql("first_fraud_days", days_ago("first_fraud")),
        sql("old_fraud_days", days_ago("old_fraud")),
        sql("genuine_days", f"COALESCE({days_ago('known_genuine')}, {DAYS_KNOWN})"),
        # 2 stands for more: one fraud alone may be of its card, two in a row are of the terminal
        sql(
            "series_length",
            "CASE WHEN small_fraud IS NULL OR known_genuine < small_fraud THEN 0"
            " WHEN small_fraud_before < known_genuine"
            " OR small_fraud_before IS NOT NULL AND known_genuine IS NULL THEN 2 ELSE 1 END",
        ),
        sql(
            "series_days",
            "CASE WHEN series_length = 0 THEN 0"
            " WHEN series_length = 1 OR first_fraud_days >= genuine_days THEN last_fraud_days"
            " ELSE COALESCE(first_fraud_days, 28) END",
        ),
        # Bayes: a series began on any day since the genuine payment, and those days that are within
        # 28 days speak for it, whether frauds of it are known or not
        sql(
            "terminal_misused",
            "CASE WHEN series_length > 0 AND old_fraud_days > 27"
            " AND (old_fraud < known_genuine OR known_genuine IS NULL)"
            f" THEN {MISUSE_BEGINS} * 7 ELSE {MISUSE_BEGINS}"
            " * GREATEST(LEAST(genuine_days, 28) - series_days, 0)"
            f" / ({MISUSE_BEGINS} * GREATEST(genuine_days - series_days, 1)"
            f" + POWER({OTHER_FRAUD}, series_length)) END",
        ),
    ],
)

# By the simulator too: 3 of 5,000 customers lose their card on a day, of whose payments of the next
# 14 days a third is fraud, of five times the usual amount; amounts vary by half of their mean.
TAKEN_OVER_A_DAY, TAKEOVER_SECONDS = 0.0006, 14 * 86400
GENUINE, FRAUD = NormalDist(1, 0.5), NormalDist(5, 2.5)
RATIOS = [1.25 + step / 4 for step in range(9)]
LATEST = 16
"""How many payments before this one are weighed: of 14 days there are seldom more that matter."""


def evidence(ratio: str) -> str:
    """Log-likelihood ratio of five times the usual amount against once, as SQL."""
    r = f"GREATEST(LEAST({ratio}, 5), 1)"
    return f"LEAST(2 * POWER({r} - 1, 2) - 0.08 * POWER({r} - 5, 2) - LN(5), 8)"


def weight(amount: str) -> str:
    """How much likelier an amount is within a takeover, a third of it fraud, than outside, as SQL,
    in steps of a quarter of the usual amount.
    """
    cases = (
        f"WHEN {amount} < {at} * mean_usual THEN"
        f" {2 / 3 + FRAUD.pdf(at - 0.125) / GENUINE.pdf(at - 0.125) / 3:.3f}"
        for at in RATIOS
    )
    return f"CASE {' '.join(cases)} ELSE 4000 END"


def onset(k: int) -> str:
    """Days before the kth latest payment on which a takeover can have begun, each weighed by the
    payments between it and the kth, as SQL.
    """
    since = f"COALESCE(age_{k}, {TAKEOVER_SECONDS})" if k else "0"
    if k == LATEST:
        return f"({TAKEOVER_SECONDS} - {since}) / 86400"
    before = f"amount_{k + 1}"
    # a payment that is a week old and not known as fraud is genuine
    return (
        f"(COALESCE(age_{k + 1}, {TAKEOVER_SECONDS}) - {since}) / 86400"
        f" + CASE WHEN {before} IS NULL THEN 0"
        f" WHEN age_{k + 1} >= 7 * 86400 AND customer_frauds_14d = 0 THEN 2 / 3"
        f" ELSE {weight(before)} END * onset_{k + 1}"
    )


taken_over = FeatureGroup(
    "taken_over_cards",
    of=known.schema,
    description="How far the amounts of a customer's last days lie above those of payments that "
    "are known to be genuine",
    features=[
        customer.mean("TX_AMOUNT", "120d", where="NOT TX_FRAUD", delay="7d", name="mean_genuine"),
        customer.mean("TX_AMOUNT", "120d", where="TX_AMOUNT <= 220", name="mean_120d"),
        sql("mean_usual", "COALESCE(mean_genuine, mean_120d)"),
        sql("amount_to_genuine", "TX_AMOUNT / mean_usual"),
        *(
            feature
            for k in range(1, LATEST + 1)
            for feature in (
                *customer.last("TX_AMOUNT", "14d", n=k, name=f"amount_{k}"),
                *customer.seconds_since_last("14d", n=k, name=f"age_{k}"),
            )
        ),
        # Bayes: a takeover began between two of the latest payments, and those since speak for it
        # if they are high, against it if they are of the usual size
        *(sql(f"onset_{k}", onset(k)) for k in range(LATEST, -1, -1)),
        sql(
            "taken_over_log_odds",
            f"LN(onset_0 / (3 / {TAKEN_OVER_A_DAY} + 2 * onset_0)) + "
            + evidence("amount_to_genuine"),
        ),
        sql("taken_over", "1 / (1 + EXP(-taken_over_log_odds))"),
        sql(
            "fraud_log_odds",
            "LN(1 / ((CASE WHEN TX_AMOUNT > 220 THEN 0.0001 ELSE 1 END)"
            " * (1 - LEAST(terminal_misused, 0.9999)) * (1 - COALESCE(taken_over, 0.002))) - 1)",
        ),
    ],
)

helpers = {f"above_{at}" for at in range(len(LIMITS))} | {*MEANS.split(", "), "mean_90d"}
informed = [
    "TX_AMOUNT",
    "TERMINAL_ID_NB_TX_7d",
    *(
        feature.name
        for feature in (*terminals.definitions, *customers.definitions)
        if feature.name not in helpers
    ),
]

# the same knowledge as probabilities, for which one has to know how the frauds are made
probable = [
    "TX_AMOUNT",
    "fraud_log_odds",
    "terminal_misused",
    "series_length",
    "series_least_amount",
    "series_last_amount",
    "taken_over_log_odds",
    "amount_to_genuine",
]

# for detectors that learn without labels: few inputs, each suspicious when it is high
suspicious = [
    "TX_AMOUNT",
    "amount_to_usual",
    "customer_high_14d",
    "terminal_last_known_fraud",
    "terminal_small_frauds_28d",
]

# the same, of the latest frauds that are known: those of 28 days also count a terminal's past
recent = [
    "TX_AMOUNT",
    "amount_to_settled",
    "customer_high_14d",
    "terminal_last_known_fraud",
    "terminal_small_frauds_7d",
]

project = Project(
    schema=known.schema,
    features=[classic, terminals, customers, series, taken_over],
    inputs=informed,
    card="CUSTOMER_ID",
    split=known.split,
    detectors=[BoostedTrees(), IsolationForest(side="upper")],
)
