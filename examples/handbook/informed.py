"""The handbook's payments with features that know more: what is known of a terminal, and what is
usual for a customer.

    shroff train examples/handbook/informed.py --data handbook.parquet

Labels are known after 7 days (`delay="7d"`); nothing here sees a younger one.
"""

from pathlib import Path

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
    features=[classic, terminals, customers],
    inputs=informed,
    card="CUSTOMER_ID",
    split=known.split,
    detectors=[BoostedTrees(), IsolationForest(side="upper")],
)
