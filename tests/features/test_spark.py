"""The Spark engine: what the oracle and the batch engine give, however the rows are spread."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.examples import THOROUGH
from contract.strategies import SPENDING, Ask, Log, cases
from contract.test_engines import expected
from contract.test_label_histories import cases as changing_cases
from contract.test_links import BOUNDS, CROWDS, of_crowd
from shroff import Entity, FeatureGroup, ReferenceTable, Schema, calendar, lookup, sql
from shroff.collect import clean
from shroff.embed import Vectors, learn, learn_spark
from shroff.errors import BadFile, ConfigurationError, DataError, MissingExtra
from shroff.features.define import Aggregate
from shroff.features.engines.batch import compute
from shroff.features.engines.spark import Skew, compute_spark, features_job, read_clean
from shroff.features.engines.spark.blocks import (
    PART,
    batches_of_cuts,
    blocks_by_number,
    cut,
    opened,
)
from shroff.features.engines.spark.files import pieces, write_folder, write_parts
from shroff.features.engines.spark.files import read as read_piece
from shroff.features.engines.spark.frames import ORDER, collected
from shroff.features.engines.spark.homes import PieceHomes
from shroff.features.engines.spark.parts import Parts, spread
from shroff.features.engines.spark.skew import ranges
from shroff.features.engines.spark.worker import ARRIVAL, CHUNK, FROM, UPTO
from shroff.features.engines.subplans import ROW, payment_columns, subplans
from shroff.features.plan import Plan
from shroff.features.vectors import TokenTable
from shroff.package import Bundle, read
from shroff.pipeline import score_log
from shroff.pipeline.spark_scores import score_job
from shroff.simulate import RATES, simulate

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# a library beside Spark's, which is imported where it is there and not used here
pytestmark = pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support pandas:FutureWarning"
)

SCHEMA = Schema(
    id="id",
    time="at",
    amount="eur",
    currency="currency",
    label="fraud",
    labelled_at="labelled_at",
    result="result",
    arrived_at="arrived_at",
    nominal=["mcc"],
    numeric=["items"],
    keys=["card", "shop.id"],
    timezone="Europe/Copenhagen",
)
CARD, SHOP = Entity("card", "card"), Entity("shop", "shop.id")


def to_spark(spark: SparkSession, frame: pl.DataFrame) -> DataFrame:
    frame = frame.cast({pl.UInt32: pl.Int64})
    return spark.createDataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest())).repartition(
        3
    )


def to_polars(frame: DataFrame) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(frame.toArrow()))


Case = tuple[Log, list[Ask]]
Arrivals = tuple[bool, bool, bool]
KINDS: dict[str, st.SearchStrategy[tuple[Log, FeatureGroup, list[Ask]]]] = {
    "plain": cases(),
    "histories of labels": changing_cases(),
    "amounts at the limit": cases(most=True),
}


@cache
def random_cases(kind: str) -> dict[Arrivals, list[Case]]:
    """Random logs and features by which arrivals the schema has: many to a job, since a job takes
    seconds.
    """
    found: dict[Arrivals, list[Case]] = defaultdict(list)

    @settings(
        max_examples=120 * THOROUGH,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(case=KINDS[kind])
    def gather(case: tuple[Log, FeatureGroup, list[Ask]]) -> None:
        log, _, asks = case
        schema = log.schema
        arrivals = (
            schema.arrived_at is not None,
            schema.result_at is not None,
            schema.labelled_at is not None,
        )
        found[arrivals].append((log, asks))

    gather()
    return found


def in_one_table(found: list[Case]) -> tuple[Schema, pl.DataFrame, FeatureGroup]:
    """Many logs as one: each in a key space of its own, every feature of any."""
    schema = found[0][0].schema
    frame = pl.concat(
        log.frame.with_columns(id=pl.format("{}/{}", pl.lit(space), "id"), space=pl.lit(str(space)))
        for space, (log, _) in enumerate(found)
    )
    features: dict[str, Aggregate] = {}
    for _, asks in found:
        for ask in asks:
            entity = Entity(ask.feature.entity.name, ("space", *ask.feature.entity.key))
            features[ask.feature.name] = msgspec.structs.replace(ask.feature, entity=entity)
    return (
        schema,
        frame.with_row_index("place"),
        FeatureGroup("random", list(features.values()), vectors=[SPENDING]),
    )


@pytest.mark.parametrize(
    ("arrivals", "skew", "kind"),
    [
        ((True, True, True), None, "plain"),
        ((True, True, True), Skew(rows=3, overlap=1e9), "plain"),
        ((False, False, False), Skew(rows=3, overlap=1e9), "plain"),
        ((True, True, True), None, "histories of labels"),
        ((True, True, True), Skew(rows=3, overlap=1e9), "histories of labels"),
        ((True, True, True), None, "amounts at the limit"),
    ],
)
def test_spark_equals_the_oracle(
    spark: SparkSession, arrivals: Arrivals, skew: Skew | None, kind: str
) -> None:
    found = random_cases(kind)[arrivals]
    schema, frame, group = in_one_table(found)
    result = to_polars(
        compute_spark([group], to_spark(spark, frame), schema, order="place", skew=skew)
    )
    result = frame.select("id").join(result, on="id", how="left", maintain_order="left")
    for space, (log, asks) in enumerate(found):
        want = expected(log, asks).with_columns(id=pl.format("{}/{}", pl.lit(space), "id"))
        got = result.filter(pl.col("id").str.starts_with(f"{space}/")).select(want.columns)
        assert_frame_equal(got, want, check_exact=True)


def in_one_crowd() -> tuple[Schema, pl.DataFrame, pl.DataFrame]:
    """All crowds as one, in which none meets another, and what the oracle answers of each."""
    logs, answers = zip(*(of_crowd(cards, hosts) for cards, hosts in CROWDS), strict=True)
    names = ("id", "card", "host", "country")
    apart = (
        [pl.format("{}/{}", pl.lit(space), name).alias(name) for name in names]
        for space in range(len(CROWDS))
    )
    frame = pl.concat(log.frame.with_columns(own) for log, own in zip(logs, apart, strict=True))
    want = pl.concat(answers).with_columns(frame["id"])
    return logs[0].schema, frame.with_row_index("place"), want


@pytest.mark.parametrize("skew", [None, Skew(rows=40, overlap=1e9)])
def test_links_equal_the_oracle(spark: SparkSession, skew: Skew | None) -> None:
    """Also in chunks of time, of which a worker may get several."""
    schema, frame, want = in_one_crowd()
    group = FeatureGroup("links", [CARD.count("5m"), *(one.feature for one in BOUNDS)])
    result = to_polars(
        compute_spark([group], to_spark(spark, frame), schema, order="place", skew=skew)
    )
    got = frame.select("id").join(result, on="id", how="left", maintain_order="left")
    assert_frame_equal(got.select(want.columns), want, check_exact=True)


PURCHASES = TokenTable(
    name="purchases",
    columns=("mcc", "eur", "at"),
    dimensions=2,
    vectors={"mcc": {"5411": (300, -7)}, "eur": {"20-50": (11, 900)}, "at": {"night": (-40, 40)}},
)
GROUP = FeatureGroup(
    "all",
    [
        CARD.count(["1h", "7d"]),
        CARD.total("eur", "1d"),
        CARD.last("mcc", "7d", n=2),
        CARD.first("eur", "1d"),
        CARD.mean("items", "7d"),
        CARD.count("7d", where="mcc IS NULL AND eur > 20"),
        CARD.distinct("shop.id", "1d", include_current=True),
        SHOP.risk("3h", delay="1h"),
        SHOP.seconds_since_last("1d"),
        Entity("pair", ["card", "shop.id"]).count("7d"),
        sql("dear", "card_total_eur_1d > 100 OR eur / items > 10"),
        sql("kind", "CASE WHEN mcc = '5411' THEN 'food' ELSE lower(mcc) END"),
        calendar("part_of_day"),
        calendar("hour"),
        sql("kind_of_payment", '"purchases[1]" + "purchases[2]"'),
        CARD.distance(PURCHASES, "7d", where="eur > 20"),
        SHOP.habit(PURCHASES, "1d"),
    ],
    vectors=[PURCHASES],
)


def payments(n: int = 600) -> pl.DataFrame:
    """Payments of a few cards and shops with gaps in every column, one shop much busier than the
    others.
    """
    start = datetime(2024, 3, 29, tzinfo=UTC)
    rows = [
        {
            "id": f"p{(at * 7919) % n:04d}",
            "at": start + timedelta(minutes=(at // 3) * 17 - (600 if at % 50 == 7 else 0)),
            "eur": (at * 37) % 9000,
            "currency": "EUR",
            "fraud": None if at % 5 == 0 else at % 9 == 0,
            "labelled_at": None
            if at % 6 == 0
            else start + timedelta(minutes=(at // 3) * 17 + at % 4000),
            "result": None if at % 13 == 0 else ("Failed" if at % 4 == 0 else "Authorised"),
            "arrived_at": start + timedelta(minutes=(at // 3) * 17),
            "mcc": None if at % 3 == 0 else "5411",
            "items": None if at % 8 == 0 else at % 4 / 2,
            "card": None if at % 17 == 0 else f"c{at * at % 23}",
            "shop.id": None if at % 19 == 0 else ("busy" if at % 5 < 2 else f"s{at % 7}"),
        }
        for at in range(n)
    ]
    dtypes = {name: pl.Datetime("us", "UTC") for name in ("at", "labelled_at", "arrived_at")}
    return pl.DataFrame(rows, schema_overrides=dtypes).with_columns(
        pl.col("items").cast(pl.Float64)
    )


@pytest.mark.parametrize("skew", [Skew(), Skew(rows=60, overlap=20.0, sample=400)])
def test_all_kinds_of_features_equal_the_batch_engine(spark: SparkSession, skew: Skew) -> None:
    frame = payments().with_row_index("place")
    want = compute([GROUP], frame, SCHEMA)
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kathmandu")
    try:
        got = to_polars(
            compute_spark([GROUP], to_spark(spark, frame), SCHEMA, order="place", skew=skew)
        )
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert_frame_equal(got.sort("id"), want.sort("id"), check_exact=True)


def test_what_arrives_later_changes_nothing_before_it(spark: SparkSession) -> None:
    frame = payments(300).with_row_index("place")
    now = frame["arrived_at"][200]
    later, earlier = pl.col("arrived_at") >= now, pl.col("arrived_at") < now
    changed = frame.with_columns(
        pl.when(pl.col("labelled_at") >= now)
        .then(~pl.col("fraud"))
        .otherwise(pl.col("fraud"))
        .alias("fraud"),
        pl.when(later).then(pl.col("eur") + 5_000).otherwise(pl.col("eur")).alias("eur"),
        pl.when(later).then(pl.lit("c1")).otherwise(pl.col("card")).alias("card"),
        pl.when(later)
        .then(pl.col("at") - pl.duration(hours=30))
        .otherwise(pl.col("at"))
        .alias("at"),
    )
    assert not changed.equals(frame)
    # that Spark would have said the same before is proved above
    before = compute([GROUP], frame, SCHEMA)
    skew = Skew(rows=60, sample=300)
    after = to_polars(
        compute_spark([GROUP], to_spark(spark, changed), SCHEMA, order="place", skew=skew)
    )
    past = frame.filter(earlier).select("id")
    assert_frame_equal(
        past.join(after, on="id"),
        past.join(before, on="id"),
        check_exact=True,
        check_row_order=False,
    )


def test_without_an_order_payments_that_arrive_together_are_in_order_of_their_ids(
    spark: SparkSession,
) -> None:
    frame = payments(90)
    group = FeatureGroup("ties", [CARD.count("7d"), SHOP.count("7d")])
    got = to_polars(compute_spark([group], to_spark(spark, frame), SCHEMA)).sort("id")
    assert_frame_equal(got, compute([group], frame.sort("id"), SCHEMA), check_exact=True)
    assert not got.equals(compute([group], frame, SCHEMA).sort("id"))


def test_features_of_the_payment_alone_move_no_rows(spark: SparkSession) -> None:
    frame = payments(50)
    group = FeatureGroup("alone", [sql("large", "eur > 20"), calendar("weekday")])
    features = compute_spark([group], to_spark(spark, frame), SCHEMA)
    assert_frame_equal(
        to_polars(features).sort("id"), compute([group], frame, SCHEMA).sort("id"), check_exact=True
    )


def test_a_job_reads_and_writes_parquet_in_the_order_of_its_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = payments(300)
    source = tmp_path / "clean table"
    source.mkdir()
    # the smaller file first: Spark would read it last
    frame.head(40).write_parquet(source / "part-0.parquet")
    frame.tail(260).write_parquet(source / "part-1.parquet", row_group_size=64)
    ordered = to_polars(read_clean(spark, str(source))).sort(ORDER)
    assert ordered["id"].to_list() == frame["id"].to_list()
    target = tmp_path / "features"
    assert (
        features_job(
            Plan([GROUP], SCHEMA), str(source), str(target), skew=Skew(rows=50, overlap=20.0)
        )
        == 300
    )
    written = pl.read_parquet(target / "*.parquet")
    assert_frame_equal(
        written.sort("id"), compute([GROUP], frame, SCHEMA).sort("id"), check_exact=True
    )
    with pytest.raises(ConfigurationError, match="does not exist yet"):
        features_job(Plan([GROUP], SCHEMA), str(source), str(target))
    with pytest.raises(BadFile, match="expected a Parquet file or a folder"):
        features_job(Plan([GROUP], SCHEMA), str(tmp_path / "nothing"), str(target))


def test_what_workers_cannot_reach_is_read_and_written_by_spark(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A column in the names of folders, and a target of another file system."""
    frame = payments(200).with_columns(mcc=pl.lit("5411"))
    (tmp_path / "clean" / "mcc=5411").mkdir(parents=True)
    frame.drop("mcc").write_parquet(tmp_path / "clean" / "mcc=5411" / "part.parquet")
    link = "fs.viewfs.mounttable.default.link./out"
    spark.conf.set(link, tmp_path.as_uri())
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    try:
        features_job(Plan([GROUP], SCHEMA), str(tmp_path / "clean"), "viewfs:///out/features")
    finally:
        spark.conf.unset(link)
        spark.conf.unset("spark.sql.sources.partitionColumnTypeInference.enabled")
    written = pl.read_parquet(tmp_path / "features" / "*.parquet")
    assert_frame_equal(
        written.sort("id"), compute([GROUP], frame, SCHEMA).sort("id"), check_exact=True
    )


def test_a_job_over_no_payments_writes_the_columns(spark: SparkSession, tmp_path: Path) -> None:
    frame = payments(9).clear()
    frame.write_parquet(tmp_path / "clean.parquet")
    plan = Plan([GROUP], SCHEMA)
    assert features_job(plan, str(tmp_path / "clean.parquet"), str(tmp_path / "features")) == 0
    want = compute([GROUP], frame, SCHEMA)
    assert_frame_equal(pl.read_parquet(tmp_path / "features" / "*.parquet"), want)


KINDS_READ = {"id": "string", "at": "timestamp", "eur": "bigint"}


def test_pieces_are_all_rows_of_files_in_whole_row_groups(tmp_path: Path) -> None:
    frame = pl.concat([payments(1)] * 300_000).with_columns(eur=pl.int_range(300_000))
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    frame[:250_000].write_parquet(paths[0], row_group_size=50_000)
    frame[250_000:].write_parquet(paths[1])
    found = pieces(paths, KINDS_READ, 3)
    assert found is not None
    assert [(piece.path, piece.first, piece.rows) for piece in found] == [
        (str(paths[0]), 0, 100_000),
        (str(paths[0]), 100_000, 100_000),
        (str(paths[0]), 200_000, 50_000),
        (str(paths[1]), 0, 50_000),
    ]
    tables = [read_piece(piece, ["eur", "id"]) for piece in found]
    assert [table.columns for table in tables] == [[ROW, "eur", "id"]] * 4
    whole = pl.concat(tables)
    assert whole["eur"].equals(frame["eur"])
    assert whole[ROW].is_sorted()
    assert whole[ROW].n_unique() == 300_000


def test_files_that_spark_might_read_otherwise_have_no_pieces(tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        payments(3).write_parquet(path)
    assert pieces(paths, KINDS_READ, 2)
    assert pieces([*paths, None], KINDS_READ, 2) is None
    assert pieces(paths, {**KINDS_READ, "labels": "array<bigint>"}, 2) is None
    payments(3).cast({"at": pl.Datetime("ns", "UTC")}).write_parquet(paths[1])
    assert pieces(paths, KINDS_READ, 2) is None
    paths[1].write_bytes(b"PAR1")
    assert pieces(paths, KINDS_READ, 2) is None


def test_payments_come_home_to_the_piece_that_they_were_read_from(tmp_path: Path) -> None:
    frame = pl.concat([payments(1)] * 200_000)
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=70_000)
    found = pieces([tmp_path / "a.parquet"], KINDS_READ, 2)
    assert found is not None
    homes = PieceHomes(found)
    tables = [read_piece(piece, ["id"]) for piece in found]
    assert len(homes) == len(tables) == 3
    some = pl.concat(tables).filter(pl.col(ROW) % 3 == 0)
    batches = list(batches_of_cuts(homes.cut(some.select(ROW), 2)))
    for number, table in zip(homes.numbers, tables, strict=True):
        mine = [batch.filter(pc.equal(batch.column(PART), number)) for batch in batches]
        held = opened(blocks_by_number(mine)[2])
        assert held is not None
        assert held.equals(table.select(ROW).filter(pl.col(ROW) % 3 == 0))
        assert homes.payments(homes.carried(table, ["id"]), ["id"]).equals(table)


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "features"
    table = pl.DataFrame({"id": ["a", "b"]})

    def write(folder: Path) -> list[tuple[str, int]]:
        (done,) = write_parts([table], folder)
        list(write_parts([table], folder))  # of a task that ran twice
        return [(done["file"][0].as_py(), done["rows"][0].as_py())]

    def fail(folder: Path) -> list[tuple[str, int]]:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(target, table.clear(), fail)
    assert not target.exists()
    with pytest.raises(ConfigurationError, match="that all machines of the cluster share"):
        write_folder(target, table.clear(), lambda _: [("part-elsewhere.parquet", 2)])
    assert write_folder(target, table.clear(), write) == 2
    assert pl.read_parquet(target / "*.parquet").equals(table)
    assert sorted(path.suffix for path in target.iterdir()) == ["", ".parquet"]
    with pytest.raises(ConfigurationError, match="does not exist yet"):
        write_folder(target, table.clear(), write)


def test_what_a_worker_lacks_or_refuses_is_no_defect(spark: SparkSession, tmp_path: Path) -> None:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        (tmp_path / "of another machine").read_bytes()
        yield from batches

    def fail(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise ValueError("of another kind")

    def refuse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise ConfigurationError("expected the driver's release of Polars, got another.")

    with pytest.raises(FileNotFoundError):
        collected(spark.range(1).mapInArrow(read, "id bigint"))
    with pytest.raises(ConfigurationError, match=r"^expected the driver's .* got another\.$"):
        collected(spark.range(1).mapInArrow(refuse, "id bigint"))
    with pytest.raises(Exception, match="of another kind"):
        collected(spark.range(1).mapInArrow(fail, "id bigint"))


def test_a_simulated_log_in_a_file_equals_the_batch_engine(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = [
        {"mcc": code, "mcc_risk": risk, "family": str(risk // 2)}
        for risk, code in enumerate(["5411", "5812", "4111"])
    ]
    schema = Schema(
        id="transaction_id",
        time="created_at",
        amount="amount",
        currency="currency",
        rates=RATES,
        label="is_fraud",
        labelled_at="labelled_at",
        nominal=["mcc"],
        tables=[ReferenceTable.of("mcc", rows, key="mcc", numeric=["mcc_risk"])],
        lookups=[lookup("mcc_risk", on="mcc", default=0.25), lookup("family", on="mcc")],
    )
    merchant, family = Entity("merchant", "merchant_id"), Entity("family", "family")
    group = FeatureGroup(
        "g",
        [
            merchant.risk("7d"),
            merchant.total("amount", "30d", resolution="1d"),
            merchant.distinct("family", "30d"),
            family.total("mcc_risk", "7d", where="mcc_risk > 0.5"),
            sql("risky", "mcc_risk * amount"),
        ],
    )
    frame = clean(simulate(3_000, seed=3), schema.with_keys(group.key_columns), key=b"k" * 32).frame
    frame.write_parquet(tmp_path / "clean.parquet")
    read = read_clean(spark, str(tmp_path / "clean.parquet"))
    got = to_polars(compute_spark([group], read, schema, order=ORDER, skew=Skew(rows=20)))
    assert_frame_equal(
        got.sort("transaction_id"),
        compute([group], frame, schema).sort("transaction_id"),
        check_exact=True,
    )


def test_a_table_that_is_not_clean_is_refused_by_name(spark: SparkSession) -> None:
    frame = payments(3)
    with pytest.raises(
        DataError, match="column `eur`: expected bigint, as cleaning leaves it, got double"
    ):
        compute_spark([GROUP], to_spark(spark, frame.cast({"eur": pl.Float64})), SCHEMA)
    with pytest.raises(DataError, match=r"with a column `shop.id` \(string\), found none"):
        compute_spark([GROUP], to_spark(spark, frame.drop("shop.id")), SCHEMA)
    with pytest.raises(
        DataError, match="expected a column `place` for the order of rows, found none"
    ):
        compute_spark([GROUP], to_spark(spark, frame), SCHEMA, order="place")


def test_two_payments_with_one_id_are_refused(spark: SparkSession) -> None:
    frame = pl.concat([payments(3), payments(1)])
    with pytest.raises(Exception, match="expected another id"):
        compute_spark([GROUP], to_spark(spark, frame), SCHEMA).collect()


def test_without_pyspark_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingExtra, match=r"pip install 'shroff\[spark\]'"):
        features_job(Plan([GROUP], SCHEMA), "clean.parquet", "features")


def test_each_part_has_a_partition_of_its_own(spark: SparkSession) -> None:
    from pyspark.sql import functions as f

    for parts in (1, 7, 200):
        frame = spark.createDataFrame([(number,) for number in spread(parts)], "part int")
        places = frame.select(f.pmod(f.hash("part"), f.lit(parts))).collect()
        assert [row[0] for row in places] == list(range(parts))


def test_a_machine_that_hashes_otherwise_is_refused() -> None:
    parts = Parts.of(3)
    parts.require_same_hash()
    with pytest.raises(ConfigurationError, match="the driver's release of Polars"):
        parts._replace(probe=[1, 2]).require_same_hash()


def test_rows_without_a_key_have_no_place() -> None:
    table = pl.DataFrame({"a": ["x", "x", None], "b": ["y", None, "y"]})
    places = table.select(Parts.of(7).place(["a", "b"])).to_series()
    assert places.is_null().to_list() == [False, True, True]
    assert 0 <= places[0] < 7


def test_blocks_of_parts_are_the_table_again() -> None:
    rows = 200_000  # more than a block holds
    part = pl.when(pl.col("n") % 5 > 0).then(pl.when(pl.col("n") % 5 == 1).then(2).otherwise(0))
    table = pl.select(n=pl.int_range(rows), text=pl.int_range(rows).cast(pl.String)).with_columns(
        part.cast(pl.Int32).alias("to")
    )
    batches = list(batches_of_cuts(cut(table, 3, "to", [10, 11, 12])))
    found = {part for batch in batches for part in batch.column(PART).to_pylist()}
    again = opened(blocks_by_number(batches)[3])
    assert found == {10, 12}
    assert again is not None
    assert_frame_equal(again.sort("n"), table.drop_nulls("to").drop("to").sort("n"))
    assert opened([]) is None


def test_an_entity_ships_only_what_its_features_read() -> None:
    plan = Plan([GROUP], SCHEMA)
    columns = {subplan.key: set(subplan.columns) for subplan in subplans(plan)}
    needed = {"at", "arrived_at"}
    assert columns == {
        ("card",): needed | {"card", "eur", "currency", "items", "mcc", "shop.id"},
        ("shop.id",): needed | {"shop.id", "fraud", "labelled_at", "mcc", "eur", "currency"},
        ("card", "shop.id"): needed | {"card", "shop.id"},
    }
    assert payment_columns(plan) == ("id", "at", "eur", "currency", "mcc", "items")


def hot_chunks(
    arrivals: dict[str, list[int]], *, rows: int, overlap: float, weight: float = 1.0
) -> pl.DataFrame:
    sample = pl.DataFrame(
        [
            {"card": card, ARRIVAL: arrived}
            for card, several in arrivals.items()
            for arrived in several
        ]
    )
    subplan = subplans(Plan([FeatureGroup("g", CARD.count("10s"))], SCHEMA))[0]
    return ranges(sample, subplan, Skew(rows=rows, overlap=overlap), weight=weight)


def test_chunks_cover_all_time_and_share_the_rows_of_a_hot_key() -> None:
    second = 1_000_000
    arrivals = {"hot": [at * second for at in range(100)], "cold": [0] * 25}
    chunks = hot_chunks(arrivals, rows=25, overlap=10.0)
    assert chunks["card"].to_list() == ["hot"] * 4
    assert chunks[CHUNK].to_list() == [1, 2, 3, 4]
    assert (
        chunks[FROM][1:].to_list()
        == chunks[UPTO][:-1].to_list()
        == [25 * second, 50 * second, 75 * second]
    )
    assert chunks[FROM][0] < 0
    assert chunks[UPTO][3] > 100 * second


def test_a_window_that_is_long_for_its_history_makes_fewer_chunks() -> None:
    arrivals = {"hot": [at * 1_000_000 for at in range(31)]}
    # half a minute of history, windows of ten seconds: three chunks hold one row to be seen for
    # each they own
    assert len(hot_chunks(arrivals, rows=1, overlap=1.0)) == 3
    assert len(hot_chunks(arrivals, rows=1, overlap=0.5)) == 0
    assert len(hot_chunks(arrivals, rows=31, overlap=9.0)) == 0
    assert len(hot_chunks(arrivals, rows=31, overlap=9.0, weight=2.0)) == 2


def test_payments_that_arrived_together_are_never_in_two_chunks() -> None:
    arrivals = {"hot": [5_000_000] * 60 + [25_000_000] * 3}
    chunks = hot_chunks(arrivals, rows=10, overlap=1e6)
    assert set(chunks[FROM].to_list()[1:]) <= {25_000_000}


def test_bounds_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected numbers above 0"):
        Skew(rows=0)


WORDS = Vectors(
    name="words", entity=CARD, tokens=["mcc", "shop.id", "eur", "at"], dimensions=3, least=2
)


@pytest.mark.parametrize(
    "before", [None, int(datetime(2024, 3, 30, 12, tzinfo=UTC).timestamp()) * 1_000_000]
)
def test_vectors_counted_on_spark_are_the_same_file(
    spark: SparkSession, before: int | None
) -> None:
    schema = SCHEMA.with_keys(["card"])
    frame = payments()
    once = learn(WORDS, schema, frame, before=before)
    assert (once.lesson.payments < len(frame)) == (before is not None)
    assert learn_spark(WORDS, schema, to_spark(spark, frame), before=before).content == once.content


def test_vectors_of_a_raw_table_or_of_nothing_are_refused(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="column `eur`: expected bigint"):
        learn_spark(WORDS, SCHEMA, to_spark(spark, payments().cast({"eur": pl.Float64})))
    with pytest.raises(DataError, match="found none"):
        learn_spark(WORDS, SCHEMA, to_spark(spark, payments()), before=0)


def test_a_log_scored_on_a_cluster_has_the_decisions_of_one_machine(
    spark: SparkSession, bundle: Bundle, bundle_folder: Path, tmp_path: Path
) -> None:
    made = simulate(600, seed=3)
    raw = made.select(
        pl.col("transaction_id").alias("payment_id"),
        *("created_at", "amount", "card_id", "host_id", "merchant_id", "mcc"),
        *("request_country", "account_country", "email"),
        pl.lit("EUR").alias("currency"),
        pl.lit(2).alias("items"),
        *(pl.lit(None, pl.String).alias(name) for name in bundle.schema.later),
    ).with_columns(pl.col("amount").round(2))
    raw.write_csv(tmp_path / "log.csv")
    frame = clean(
        pl.read_csv(tmp_path / "log.csv", infer_schema=False), bundle.schema, key=b"k" * 32
    ).frame
    frame.write_parquet(tmp_path / "clean.parquet")
    done = score_job(read(bundle_folder), str(tmp_path / "clean.parquet"), str(tmp_path / "scores"))
    alone = score_log(
        bundle, tmp_path / "log.csv", tmp_path / "s.parquet", key=b"k" * 32, memory=1 << 30
    )
    assert_frame_equal(
        pl.read_parquet(tmp_path / "scores" / "*.parquet"),
        pl.read_parquet(tmp_path / "s.parquet"),
        check_exact=True,
        check_row_order=False,
    )
    assert (done.payments, done.actions, done.unscored) == (len(frame), alone.actions, 0)
    twice = pl.concat([frame, frame[:1]])
    twice.write_parquet(tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="got one twice"):
        score_job(read(bundle_folder), str(tmp_path / "twice.parquet"), str(tmp_path / "no"))
