"""State in Redis: what processes share, what is undone, kept short, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.engines import ALWAYS, open_empty
from contract.strategies import Ask, Log, cases
from features.online_world import COUNTS, DAY, MINUTE, SCHEMA, Join, card, open_state, pay
from patience import until
from shroff import Entity, FeatureGroup, Schema
from shroff.collect.payment import Payment, payments
from shroff.errors import BadPayment, ConfigurationError, StateGarbled, StateUnavailable
from shroff.features.engines.online import Observed, OnlineEngine, is_shared
from shroff.features.engines.online.redis import RedisEngine, claim, log
from shroff.features.engines.online.redis.log import logs, unpack_value
from shroff.features.engines.online.redis.observing import Observing
from shroff.features.plan import Plan

Case = tuple[Log, FeatureGroup, list[Ask]]


@pytest.fixture
def join(redis_server: str) -> Iterator[Join]:
    """Joins the state of one test; the first to join begins it."""
    space, joined = token_hex(8), list[RedisEngine]()

    def another(
        group: FeatureGroup = COUNTS, *, lateness: str = "1d", replica: int = 1_000
    ) -> RedisEngine:
        engine = RedisEngine(
            [group], SCHEMA, url=redis_server, lateness=lateness, space=space, replica=replica
        )
        if not joined:
            open_state(engine, OnlineEngine([group], SCHEMA, lateness=lateness))
        joined.append(engine)
        return engine

    yield another
    for engine in joined:
        engine.close()


@pytest.fixture
def client(redis_server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server) as connection:
        yield connection


def keys(client: redis.Redis, engine: RedisEngine, name: bytes) -> list[bytes]:
    found: list[bytes] = list(client.scan_iter(engine.calls.key(name).replace(b"{", b"[{]") + b"*"))
    return found


def workers(url: str, group: FeatureGroup, schema: Schema) -> list[RedisEngine]:
    space = token_hex(8)
    both = [RedisEngine([group], schema, url=url, lateness=ALWAYS, space=space) for _ in range(2)]
    open_empty(both[0], [group], schema, lateness=ALWAYS)
    return both


@settings(max_examples=60)
@given(case=cases(), data=st.data())
def test_payments_that_wait_together_see_each_other(
    redis_server: str, case: Case, data: st.DataObject
) -> None:
    """Batches of any size, to either of two processes, are one order."""
    log, group, _ = case
    both = workers(redis_server, group, log.schema)
    memory = OnlineEngine([group], log.schema, lateness=ALWAYS)
    waiting = list(payments(log.frame, log.schema))
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        seen = data.draw(st.sampled_from(both)).observe_all(waiting[:size])
        assert [each.features for each in seen] == [
            memory.observe(payment) for payment in waiting[:size]
        ]
        del waiting[:size]
    for engine in both:
        engine.close()


@settings(max_examples=60)
@given(case=cases(), data=st.data())
def test_forgetting_a_payment_undoes_it_for_all(
    redis_server: str, case: Case, data: st.DataObject
) -> None:
    log, group, _ = case
    stream = list(payments(log.frame, log.schema))
    dropped = data.draw(st.sets(st.sampled_from(range(len(stream))), max_size=3))
    one, other = workers(redis_server, group, log.schema)
    memory = OnlineEngine([group], log.schema, lateness=ALWAYS)
    for place, payment in enumerate(stream):
        one.observe(payment)
        if place in dropped:
            one.forget(payment)
        else:
            memory.observe(payment)
    for place, key in enumerate(("a", "b")):
        last = stream[-1]
        values = last.values | {"card": key, "host": key}
        probe = Payment(
            f"probe{place}", last.time, last.arrived + 1, last.minor, last.units, values
        )
        assert (one, other)[place].observe(probe) == memory.observe(probe)
    one.close()
    other.close()


def test_the_label_that_stands_counts_whoever_brings_it(join: Join) -> None:
    one, other = join(), join()
    one.observe(pay(0, 0))
    assert other.later("p0", "label", True)
    assert one.later("p0", "label", None)
    assert not one.later("never seen", "label", True)
    assert other.observe(pay(1, MINUTE))["card_risk_7d"] == 1.0
    assert one.later("p0", "label", False)
    assert other.observe(pay(2, MINUTE))["card_risk_7d"] == 0.0
    assert other.later("p0", "label", True)
    assert one.observe(pay(3, MINUTE))["card_risk_7d"] == 1 / 3


def test_labels_can_be_told_again_and_out_of_order(join: Join) -> None:
    one, other = join(), join()
    one.observe(pay(0, 0))
    assert one.later("p0", "label", False, rank=1, arrived=20)
    assert other.later("p0", "label", True, rank=1, arrived=10)
    assert other.observe(pay(1, MINUTE))["card_risk_7d"] == 0.0, "the later of one rank stands"
    assert other.later("p0", "label", True, rank=0, arrived=5)
    assert one.later("p0", "label", False, rank=1, arrived=30)
    assert one.observe(pay(2, MINUTE))["card_risk_7d"] == 0.5, "the lower rank stands"


def test_a_label_that_is_announced_again_arrived_when_it_first_did(join: Join) -> None:
    one, other = join(), join()
    one.observe(pay(0, 0))
    first = one.announce("p0", "label", True, token=b"one")
    assert other.announce("p0", "label", False, token=b"two") > first
    assert other.announce("p0", "label", True, token=b"one") == first
    assert one.observe(pay(1, MINUTE))["card_risk_7d"] == 0.0


def test_without_features_of_labels_no_label_is_waited_for(join: Join) -> None:
    engine = join(FeatureGroup("g", [card.count("1d")]))
    engine.observe(pay(0, 0))
    assert not engine.later("p0", "label", True)


def test_a_payment_that_comes_again_counts_once_and_sees_what_it_saw(join: Join) -> None:
    one, other = join(), join()
    first = one.observe_all([pay(0, 0), pay(1, 1)])
    for place in range(2, 9):
        other.observe(pay(place, place, host=f"h{place}"))
    again = other.observe_all([pay(1, 1), pay(0, 0)])
    assert again == [replace(each, again=True) for each in reversed(first)]
    assert one.observe(pay(9, 9))["card_count_1d"] == 9.0


def test_a_payment_that_comes_again_within_a_batch_counts_once(join: Join) -> None:
    engine = join()
    first, again = engine.observe_all([pay(0, 0), pay(0, 0)])
    assert again == Observed(first.arrived, first.features, again=True)


def test_a_payment_that_comes_again_long_after_counts_once(join: Join) -> None:
    """A snapshot has replaced what was before it: it sees what there is now, but not itself."""
    one, other = join(), join()
    one.observe(pay(0, 0))
    for place in range(1, 400):
        one.observe(pay(place, place))
    again = other.observe_all([pay(0, 0)])[0]
    assert again.again
    assert again.features is not None
    assert again.features["card_count_1d"] == 399.0
    assert one.observe(pay(400, 400))["card_count_1d"] == 400.0
    assert other.observe(pay(401, 401))["card_count_1d"] == 401.0


def test_only_who_put_a_payment_there_can_take_it_away(join: Join) -> None:
    one, other = join(), join()
    one.observe(pay(0, 0))
    other.observe_all([pay(0, 0)])
    other.forget(pay(0, 0))
    assert other.observe(pay(1, 1))["card_count_1d"] == 1.0
    one.forget(pay(0, 0))
    one.forget(pay(0, 0))
    assert other.observe(pay(2, 2))["card_count_1d"] == 1.0


def test_a_payment_that_is_too_old_is_refused(join: Join) -> None:
    one, other = join(lateness="1h"), join(lateness="1h")
    one.observe(pay(0, DAY))
    with pytest.raises(
        BadPayment, match=r"expected a time at most 1h before the newest payment's - at `\$\.time`"
    ):
        other.observe(pay(1, DAY - 61 * MINUTE))
    refused, taken = other.observe_all([pay(2, 0), pay(3, DAY - 60 * MINUTE)])
    assert refused.features is None
    assert taken.features is not None
    assert taken.features["card_count_1d"] == 1.0
    assert other.newest == DAY


def test_a_log_keeps_of_a_payment_what_its_key_needs() -> None:
    """Tokens are kept in half their digits, what looks like none as it is, and amounts where they
    are summed.
    """
    schema = Schema(
        id="id", time="time", amount="amount", keys=["card", "host"], personal=["email"]
    )
    host = Entity("host", "host")
    group = FeatureGroup(
        "g", [card.total("amount", "1d"), host.distinct("email", "1d", name="emails")]
    )
    by_card, by_host = logs(Plan([group], schema), DAY)
    for email in ("0123456789abcdef" * 4, "0123456789ABCDEF" * 4, "ab cd", "ab", "", None):
        payment = pay(0, 1_700_000_000_000_000)
        payment.values["email"] = email
        summed = by_card.event.payment(unpack_value(by_card.event.pack(payment)))
        assert (summed.time, summed.units, summed.values) == (payment.time, payment.units, {})
        packed = by_host.event.pack(payment)
        told = by_host.event.payment(unpack_value(packed))
        assert (told.time, told.units, told.values) == (payment.time, 0, {"email": email})
        if email == "0123456789abcdef" * 4:
            assert len(packed) == 44


def test_a_process_reads_what_others_added_however_much(join: Join) -> None:
    one, other = join(), join()
    memory = OnlineEngine([COUNTS], SCHEMA)
    place = 0
    for together in (1, 2, 3, 5, 8, 13, 40):
        for _ in range(together):
            payment = pay(place, place, host=f"h{place}")
            assert one.observe(payment) == memory.observe(payment)
            place += 1
        payment = pay(place, place)
        assert other.observe(payment) == memory.observe(payment)
        place += 1


def test_long_logs_become_snapshots(join: Join, client: redis.Redis) -> None:
    """The log stays short, and one who joins late sees all that others have seen."""
    group = FeatureGroup(
        "g",
        [card.count("1h"), card.distinct("host", "1h"), card.max("amount", "1h"), card.risk("1h")],
    )
    one, other = join(group, lateness="1h"), join(group, lateness="1h")
    memory = OnlineEngine([group], SCHEMA, lateness="1h")
    for place in range(1_500):
        payment = pay(place, place * MINUTE // 4, host=f"h{place % 7}", units=place * 31 % 1_009)
        assert (one, other)[place % 2].observe(payment) == memory.observe(payment)
        if place % 11 == 0:
            assert one.later(payment.id, "label", True) == memory.later(payment.id, "label", True)
    (log,) = keys(client, one, b"0:")
    assert client.llen(log) <= 400
    late = pay(1_500, 1_500 * MINUTE // 4)
    assert join(group, lateness="1h").observe(late) == memory.observe(late)


def test_a_process_keeps_so_many_keys_and_reads_the_others_again(join: Join) -> None:
    small, memory = join(replica=3), OnlineEngine([COUNTS], SCHEMA)
    for place in range(200):
        payment = pay(place, place, who=f"c{place % 10}")
        assert small.observe(payment) == memory.observe(payment)


def test_keys_expire_by_themselves(join: Join, client: redis.Redis) -> None:
    engine = join(FeatureGroup("g", [card.count("1h"), card.risk("2h")]), lateness="10m")
    engine.observe(pay(0, 0))
    engine.later("p0", "label", True)
    engine.forget(pay(1, 1))
    kept = 130 * 60_000 + 300_000
    (marker,), (log,) = (keys(client, engine, name) for name in (b"p:", b"0:"))
    assert kept - 60_000 < client.pttl(marker) <= kept
    assert kept - 60_000 < client.pttl(log) - kept // 16 <= kept


def test_a_process_renews_a_log_now_and_then(
    join: Join, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for which a log is renewed has room for that."""
    one, other = join(), join()
    monkeypatch.setattr(log, "_RENEWALS", 1 << 60)
    eager = join()
    one.observe(pay(0, 0))
    (name,) = keys(client, one, b"0:")
    turns = (one, False), (other, True), (other, False), (eager, True), (eager, True), (one, False)
    for place, (engine, renews) in enumerate(turns, start=1):
        client.pexpire(name, 1_000)
        engine.observe(pay(place, place))
        assert (client.pttl(name) > 1_000) == renews


@pytest.mark.parametrize(("before", "after"), [(1, 0), (1, 1), (2, 1), (2, 3), (70, 0), (70, 70)])
def test_a_log_that_was_removed_is_noticed_by_who_knew_it(
    join: Join, client: redis.Redis, before: int, after: int
) -> None:
    """Also if it has got as many entries since as it had."""
    one, stranger = join(), join()
    one.observe_all([pay(place, place) for place in range(before)])
    client.delete(*keys(client, one, b"0:"))
    for place in range(before, before + after):
        stranger.observe(pay(place, place))
    with pytest.raises(StateGarbled, match="or lacked what one has"):
        one.observe(pay(before + after, before + after))
    assert (one.drops, stranger.ready()) == (1, False)


def test_its_own_labels_are_read_also_by_a_process_that_is_alone(join: Join) -> None:
    one, memory = join(), OnlineEngine([COUNTS], SCHEMA)
    for place in range(6):
        payment = pay(place, place)
        assert one.observe(payment) == memory.observe(payment)
        for each in (one, memory):
            each.later(payment.id, "label", place % 2 == 0)
            each.observe(pay(100 + place, place))
            each.forget(pay(100 + place, place))


def test_keys_that_somebody_let_live_for_ever_are_not_lost(
    join: Join, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # doctests may have imported the module once more
    monkeypatch.setitem(Observing.observed.__globals__, "MIN_LOG_ENTRIES", 2)
    one, other = join(), join()
    for place in range(8):
        one.observe(pay(place, place))
        for name in keys(client, one, b""):
            client.persist(name)
    (name,) = keys(client, one, b"0:")
    assert client.llen(name) < 8, "it was trimmed"
    assert other.later("p0", "label", True)
    assert other.observe(pay(8, 8)) == {
        "card_count_1d": 8.0,
        "card_distinct_host_1d": 1.0,
        "card_risk_7d": 0.125,
    }


def test_what_has_expired_is_not_counted(
    join: Join, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = join()
    monkeypatch.setattr(log, "kept_ms", lambda reach: 1)
    one = join()
    one.observe(pay(0, 0))
    until(lambda: not keys(client, one, b"0:"))
    # it is beyond every window by then; and who comes later finds nothing wrong
    assert other.observe(pay(1, 30 * DAY))["card_count_1d"] == 0.0
    assert one.observe(pay(2, 30 * DAY))["card_count_1d"] == 1.0


def test_scripts_that_the_server_forgot_are_sent_again(join: Join, client: redis.Redis) -> None:
    engine = join()
    engine.observe(pay(0, 0))
    client.script_flush()
    assert engine.observe(pay(1, 1))["card_count_1d"] == 1.0


def test_payments_without_a_key_have_no_values(join: Join) -> None:
    engine = join()
    nothing = dict.fromkeys(("card_count_1d", "card_distinct_host_1d", "card_risk_7d"))
    assert engine.observe_all([pay(0, 0, who=None), pay(1, 1, who=None)])[1].features == nothing


def test_states_of_different_definitions_do_not_mix(join: Join) -> None:
    engine, other = join(), join(FeatureGroup("g", [card.count("2d")]))
    engine.observe(pay(0, 0))
    with pytest.raises(StateUnavailable, match="it is being rebuilt, or waits to be"):
        other.observe(pay(1, 1))


def test_one_process_fills_a_state(join: Join) -> None:
    engine = join()
    filling = claim(engine)
    assert filling is not None
    assert claim(join()) is None
    # the state there was serves on
    assert engine.observe(pay(0, 0))["card_count_1d"] == 0.0
    source = OnlineEngine([COUNTS], SCHEMA)
    source.observe(pay(7, 0, host="other"))
    filling.pour(source)
    assert engine.observe(pay(1, 1))["card_count_1d"] == 1.0
    assert filling.open()
    assert engine.later("p7", "label", True)
    assert engine.observe(pay(2, 2)) == {
        "card_count_1d": 1.0,
        "card_distinct_host_1d": 1.0,
        "card_risk_7d": 1.0,
    }


def test_a_state_that_was_filled_since_a_process_looked_is_not_filled_again(join: Join) -> None:
    late, engine = join(), join()
    engine.discard()
    assert not late.ready()
    filling = claim(engine, missing=True)
    assert filling is not None
    assert filling.open(mark=3)
    assert claim(late, missing=True) is None
    assert late.ready()
    assert late.mark() == 3


def test_a_filling_removes_those_before_it_and_none_that_has_begun(
    join: Join, client: redis.Redis
) -> None:
    engine, source = join(), OnlineEngine([COUNTS], SCHEMA)
    source.observe(pay(7, 0))
    for number in range(3):
        engine.observe(pay(number, number))

    def fillings() -> int:
        keys = [key.removeprefix(engine.name) for key in client.scan_iter(engine.name + b"*")]
        return len({key.partition(b":")[0] for key in keys if b":" in key})

    filling = claim(engine)
    assert filling is not None
    filling.pour(source)
    assert fillings() == 2
    assert filling.open()
    assert fillings() == 1
    begun = claim(join())
    assert begun is not None
    begun.pour(source)
    filling.sweep()
    assert begun.open()
    assert engine.observe(pay(8, 8))["card_count_1d"] == 1.0


def test_a_claim_that_ran_out_fills_nothing(join: Join, client: redis.Redis) -> None:
    engine = join()
    lost = claim(engine)
    assert lost is not None
    client.delete(engine.name + b"claim")
    source = OnlineEngine([COUNTS], SCHEMA)
    source.observe(pay(0, 0))
    with pytest.raises(StateUnavailable, match="another process has claimed it"):
        lost.pour(source)
    assert not lost.open()


def test_a_new_state_is_followed_though_its_clock_is_behind(
    join: Join, client: redis.Redis
) -> None:
    engine, other = join(), join()
    engine.observe(pay(0, 0))
    open_state(other, OnlineEngine([COUNTS], SCHEMA))
    client.hset((engine.name + b"head").decode(), "last", "1")
    assert engine.observe(pay(1, 1))["card_count_1d"] == 0.0
    assert other.observe(pay(2, 2))["card_count_1d"] == 1.0


def test_only_an_engine_of_the_same_definitions_is_poured(join: Join) -> None:
    filling = claim(join())
    assert filling is not None
    with pytest.raises(ValueError, match="of the state's own definitions"):
        filling.pour(OnlineEngine([COUNTS], SCHEMA, lateness="1h"))


def test_the_state_is_chosen_by_a_setting(redis_server: str) -> None:
    assert not is_shared("memory")
    assert is_shared(redis_server)
    with pytest.raises(ConfigurationError, match="SHROFF_STATE") as caught:
        is_shared("memcached://there")
    assert "memcached" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="SHROFF_STATE") as caught:
        RedisEngine([COUNTS], SCHEMA, url="redis://host:port/0")
    assert "host:port" not in str(caught.value)
