"""The soak, small: each arm decides the same payments, and ours learns again through the gates."""

from __future__ import annotations

from benchmarks.loop import SMALL, page_of, run, table_of


def test_arms_decide_the_same_payments_and_are_told_by_month() -> None:
    rows = run(SMALL, ("no retraining", "ours"))
    assert rows["arm"].to_list() == ["no retraining"] * 2 + ["ours"] * 2
    first, ours = (rows.filter(arm=one) for one in ("no retraining", "ours"))
    assert first["frauds"].to_list() == ours["frauds"].to_list()
    assert first["recall_new"].null_count() == 1
    assert (rows["money"] > 0).all()
    assert table_of(rows).count("\n") == 4
    page = page_of(rows)
    assert page.count("<figure") == 2
    assert "Recall by amount" in page
