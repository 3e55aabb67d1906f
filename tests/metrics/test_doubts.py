"""What a reader could have taken wrongly is said: days outside of the data, open periods, visits, names of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.session.lakes import event, events_with, lines, make_project
from tidelake import session as tl
from tidelake.errors import DefinitionError, UnknownNameError

USERS = {
    "kind": "files",
    "fact": "dimension",
    "path": "users.csv",
    "format": "csv",
    "key": ["user"],
    "contract": {"fields": {"user": {"required": True}, "city": {}, "height": {"type": "number"}}},
}
ASKED: dict[str, Callable[[tl.Session, dict[str, Any]], Any]] = {
    "measure": lambda session, dates: session.measure("dau", **dates),
    "retention": lambda session, dates: session.retention(**dates),
    "lifecycle": lambda session, dates: session.lifecycle(**dates),
    "stickiness": lambda session, dates: session.stickiness(**dates),
    "funnel": lambda session, dates: session.funnel(["open", "play"], **dates),
    "activation": lambda session, dates: session.activation("play", **dates),
    "adoption": lambda session, dates: session.adoption("play", **dates),
    "revenue": lambda session, dates: session.revenue("play", price="amount", **dates),
    "diversity": lambda session, dates: session.diversity("events", of="country", **dates),
    "streaks": lambda session, dates: session.streaks("dau", **dates),
    "spikes": lambda session, dates: session.spikes("dau", **dates),
    "weekdays": lambda session, dates: session.weekdays("dau", **dates),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tl.Session]:
    """Users u0 to u6 from 1 to 5 March 2024, of whom three are known and count; complete through the 5th."""
    root = tmp_path_factory.mktemp("doubts")
    fields = {"user": {"references": "users.user"}, "value": {}, "city_id": {}}
    app = events_with(fields=fields, complete="through:2024-03-05")
    make_project(root, {"app": app, "users": USERS})
    (root / "data" / "events.jsonl").write_text(lines(event(number, value="x") for number in range(40)))
    (root / "users.csv").write_text("user,city,height\nu0,Ulm,1.7\nu1,Bern,1.8\nu2,,1.9\n")
    with tl.open(root) as session:
        session.build()
        yield session


@pytest.mark.parametrize("name", ASKED)
def test_days_outside_of_the_data_are_said(asked: tl.Session, name: str) -> None:
    """The data are of 1 to 5 March: of April nothing is known, of March all that there is."""
    notes = " ".join(ASKED[name](asked, {"start": "2024-04-01", "end": "2024-04-02"}).notes)
    assert "of 2024-03-01 to 2024-03-05 (watermark 2024-03-06 00:00 Europe/Berlin)" in notes
    assert "holds no rows for this metric yet" not in notes
    within = ASKED[name](asked, {"start": "2024-03-02", "end": "2024-03-03"}).notes
    assert not any("outside" in note for note in within)


@pytest.mark.parametrize("name", ASKED)
def test_dates_the_wrong_way_round_are_refused_with_what_to_do(asked: tl.Session, name: str) -> None:
    with pytest.raises(DefinitionError, match="lies after") as caught:
        ASKED[name](asked, {"start": "2024-03-03", "end": "2024-03-02"})
    assert "Exchange" in str(caught.value.hint)


def test_the_same_visit_is_told_from_another_one(asked: tl.Session) -> None:
    spans = {"criterion": "within", "unit": "day"}

    def says(**settings: Any) -> bool:
        return any("same visit" in note for note in asked.retention(**spans, **settings).notes)

    assert says(within=(("0h", "72h"),))
    assert not says(within=(("30m", "72h"),))
    assert not says(within=(("0h", "72h"),), fact="session")
    assert not says(within=(("0h", "72h"),), entry="open", **{"return": "play"})


def test_an_open_period_shows_no_churn_to_quote(asked: tl.Session) -> None:
    """The week of 4 March has two of its seven days: who came in February's last week may still come."""
    result = asked.lifecycle(grain="week")
    rows = {(str(row["period_start"]), row["state"]): row["value"] for row in result.to_dicts()}
    assert rows["2024-03-04", "churned"] is not None
    line = next(text for text in str(result).splitlines() if text.startswith("2024-03-04"))
    assert line.split()[-5:-2] == ["–", "–", "–"]
    assert "2024-03-04 is still open" in str(result)


@pytest.mark.parametrize("name", [name for name in ASKED if name not in ("streaks", "spikes", "weekdays")])
def test_a_dimension_called_like_a_column_of_the_answer_is_refused(asked: tl.Session, name: str) -> None:
    with pytest.raises(DefinitionError, match="column of that name"):
        ASKED[name](asked, {"by": ["value"]})


@pytest.mark.parametrize("name", ["amount", "users.height"])
def test_numbers_with_fractions_are_no_dimensions(asked: tl.Session, name: str) -> None:
    """DuckDB writes 1.0 where Spark writes 1.0E0 for great ones: neither cuts by them."""
    for ask in (ASKED["measure"], ASKED["lifecycle"], ASKED["funnel"], ASKED["retention"]):
        with pytest.raises(DefinitionError, match="no categories"):
            ask(asked, {"by": [name]})


def test_a_column_of_a_dimension_is_proposed_by_its_whole_name(asked: tl.Session) -> None:
    for ask in (ASKED["measure"], ASKED["lifecycle"], ASKED["funnel"], ASKED["retention"]):
        with pytest.raises(UnknownNameError) as caught:
            ask(asked, {"by": ["city"]})
        assert caught.value.hint == "Did you mean 'users.city'?"


def test_one_misspelt_name_of_several_is_found(asked: tl.Session) -> None:
    for ask in (
        lambda: asked.funnel(["open", "play,pasue"]),
        lambda: asked.funnel(["open", "play"], exclude=["pasue"]),
        lambda: asked.retention(**{"return": "play,pasue"}),
        lambda: asked.activation("play,pasue", warmup="0d"),
        lambda: asked.adoption("play,pasue"),
    ):
        with pytest.raises(UnknownNameError, match="'pasue'"):
            ask()


def test_a_setting_is_named_as_the_command_has_it(asked: tl.Session) -> None:
    with pytest.raises(DefinitionError, match=r"--top \(`top_k`\)"):
        asked.diversity("events", of="country", top_k=0)
    with pytest.raises(DefinitionError, match=r"--below \(`threshold_seconds`\)"):
        asked.dropoff(by=["country"], threshold_seconds=0)


def test_an_unknown_setting_is_met_with_the_nearest(asked: tl.Session) -> None:
    for ask, meant in (
        (lambda: asked.dropoff(by=["country"], below=10), "threshold_seconds"),
        (lambda: asked.funnel(["open", "play"], windows="1d"), "window"),
        (lambda: asked.activation("play", with_in="1d"), "within"),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ask()
        assert meant in str(caught.value.hint)


def test_a_span_is_written_in_python_as_in_the_command(asked: tl.Session) -> None:
    both = [
        asked.retention(within=given, **more).to_dicts()
        for given, more in (
            ("24h:72h", {}),
            ([("24h", "72h")], {"criterion": "within"}),
        )
    ]
    assert both[0] == both[1] != []
    with pytest.raises(DefinitionError, match=r"periods: write \(first, last\)"):
        asked.retention(periods=7)


def test_a_trend_begins_with_the_data(asked: tl.Session) -> None:
    (row,) = asked.trend(days=28).to_dicts()
    assert str(row["period_start"]) == "2024-03-01"


def test_streaks_say_why_they_have_no_median(asked: tl.Session) -> None:
    """Every day has users, so that the one streak had not ended when the data did."""
    result = asked.streaks("dau")
    assert [row["value"] for row in result.to_dicts()] == [None]
    assert "had not ended" in str(result)


def test_comments_of_a_shown_metric_are_comments_of_a_line() -> None:
    from tidelake.engine.sql import pretty

    assert pretty("-- plays\nSELECT 1\n\n-- users\nSELECT 2") == "-- plays\nSELECT\n  1\n\n-- users\nSELECT\n  2"


def test_days_without_rows_are_named_and_members_of_an_open_churn(tmp_path: Path) -> None:
    """No row came on Thursday, 7, and Saturday, 9 March: the week is degraded. Of the week of the 11th two days are
    there, so that u0 to u3, who came the week before, are not gone yet."""
    root = make_project(tmp_path, {"app": events_with(complete="through:2024-03-12")})
    days = [(4, "u0"), (5, "u1"), (6, "u2"), (8, "u3"), (10, "u4"), (11, "u4"), (12, "u4")]
    rows = [
        event(number, ts=f"2024-03-{day:02d}T10:00:00Z", received=None, user=user)
        for number, (day, user) in enumerate(days)
    ]
    (root / "data" / "events.jsonl").write_text(lines(rows))
    with tl.open(root) as session:
        session.build()
        whole = session.measure("events", grain="week")
        assert [(row["value"], row["status"]) for row in whole.to_dicts()] == [(5, "degraded"), (2, "open")]
        assert whole.notes[0].startswith("missing: no rows came on 2 days (2024-03-07, 2024-03-09).")
        assert not session.measure("events", start="2024-03-04", end="2024-03-06").notes
        churned = session.lifecycle(members="churned", start="2024-03-11")
        assert [row["actor_id"] for row in churned.to_dicts()] == ["u0", "u1", "u2", "u3"]
        assert churned.notes == ("2024-03-11 is still open: who has not come yet is not gone.",)
        assert session.lifecycle(members="returning", start="2024-03-11").notes == ()


def test_rows_that_were_added_up_are_no_number_for_a_reader(asked: tl.Session) -> None:
    """Of 40 events 18 are of known users, of which every third is a play: beside 6 plays, 18 would be misread."""
    result = asked.measure("plays", grain="month")
    assert [(row["value"], row["n"]) for row in result.to_dicts()] == [(6, 18)]
    assert " 18" not in str(result)
