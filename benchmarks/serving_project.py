"""The handbook's payments with the 17 velocity features and 300 trees that `serving.py`
measures.
"""

from pathlib import Path

from shroff import Entity, FeatureGroup, Project
from shroff.detect import BoostedTrees
from shroff.project import load_project

known = load_project(Path(__file__).parents[1] / "examples" / "handbook" / "project.py")
classic = known.features[0]
customer = Entity("customer", "CUSTOMER_ID")

busy = FeatureGroup(
    "busy",
    of=known.schema,
    description="How busy a payment's customer has been",
    features=[
        customer.total("TX_AMOUNT", ["1h", "1d"]),
        customer.distinct("TERMINAL_ID", ["1d", "7d"]),
        customer.seconds_since_last("7d"),
    ],
)

project = Project(
    schema=known.schema,
    features=[classic, busy],
    inputs=[*(known.inputs or ()), *(feature.name for feature in busy.definitions)],
    card="CUSTOMER_ID",
    detectors=[BoostedTrees(n_trees=300)],
)
