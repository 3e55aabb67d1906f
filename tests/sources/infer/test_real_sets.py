"""What `tide init` makes of real sets that were not made for it; expectations written after reading the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tidelake.errors import ProjectError
from tidelake.sources.infer import Proposal, ProposedSource, propose

Shared = Callable[[str], Path]


def named(proposal: Proposal) -> dict[str, ProposedSource]:
    return {item.name: item for item in proposal.sources}


def find(folder: Path, name: str) -> Path:
    [path] = list(folder.rglob(name))
    return path


def test_streampro(shared_data: Shared) -> None:
    folder = find(shared_data("streampro_events"), "events.jsonl").parent
    proposal = propose(str(folder))
    sources = named(proposal)
    assert {name: item.source.fact for name, item in sources.items()} == {
        "events": "event",
        "users": "dimension",
        "videos": "dimension",
        "devices": "dimension",
    }
    events = sources["events"].source
    assert dict(events.mapping.items()) == {
        "event_time": "timestamp",
        "actor_id": "user_id",
        "event_name": "event_name",
        "session_id": "session_id",
    }
    assert (events.time_format, events.timezone, events.dedup) == ("iso", "UTC", "none")
    fields = events.contract.fields
    assert fields["ip"].privacy == "truncate_ip"
    assert (fields["value"].type, fields["value"].required) == ("number", False)
    assert (fields["video_id"].references, fields["user_id"].references) == ("videos.video_id", "users.user_id")
    assert sources["users"].source.key == ("user_id",)
    assert sources["users"].source.contract.fields["signup_date"].type == "date"
    assert sources["videos"].source.key == ("video_id",)
    assert sources["devices"].source.key == ("device", "device_model", "os_version")
    project = proposal.project
    assert project.session.mode == "verify"
    assert (project.watch.column, project.watch.event, project.watch.content) == ("value", "watch_time", "video_id")
    assert project.dimensions == ("device", "device_os", "app_version", "network_type", "country")


def test_sparkify(shared_data: Shared) -> None:
    folder = shared_data("sparkify_log_2018_11")
    sources = named(propose(str(find(folder, "log_data").parent)))
    assert {name: (item.source.fact, len(item.files)) for name, item in sources.items()} == {
        "events": ("event", 30),
        "song_data": ("dimension", 71),
    }
    events = sources["events"].source
    assert dict(events.mapping.items()) == {
        "event_time": "ts",
        "actor_id": "userId",
        "event_name": "page",
        "session_id": "sessionId",
        "seq": "itemInSession",
    }
    assert (events.time_format, events.complete.by) == ("epoch_ms", "daily_file")
    fields = events.contract.fields
    assert fields["userId"].empty_is_null
    assert not fields["userId"].required
    assert fields["firstName"].privacy == "drop"
    assert fields["lastName"].privacy == "drop"
    assert fields["registration"].type == "timestamp"
    assert sources["song_data"].source.key == ("song_id",)
    assert sources["events"].rows_looked == 8056


def test_collegemsg(shared_data: Shared) -> None:
    [item] = propose(str(find(shared_data("collegemsg"), "CollegeMsg.txt"))).sources
    source = item.source
    assert (source.fact, source.format, source.header, source.delimiter) == ("event", "csv", "no", " ")
    assert source.columns == ("actor_id", "column_2", "event_time")
    assert source.time_format == "epoch_s"
    # SNAP, CollegeMsg: 59,835 temporal edges, 1,899 nodes of which 1,350 sent; 193 days.
    assert (item.rows_looked, item.whole) == (59_835, True)
    time = next(profile.time for profile in item.profiles if profile.name == "event_time")
    assert time is not None
    assert time.first is not None
    assert time.last is not None
    assert (time.last - time.first).days == 193


def test_online_retail(shared_data: Shared) -> None:
    [item] = propose(str(shared_data("online_retail_uci"))).sources
    source = item.source
    assert (source.fact, source.format) == ("event", "parquet")
    assert dict(source.mapping.items()) == {"event_time": "InvoiceDate", "actor_id": "CustomerID"}
    assert source.time_format == "%m/%d/%y %H:%M"  # 12/1/10 is 1 December 2010, the shop's first day in the set
    assert (source.dedup, source.contract.fields["InvoiceNo"].type) == ("none", "string")
    assert not source.contract.fields["CustomerID"].required


def test_ecommerce(shared_data: Shared) -> None:
    sources = named(propose(str(shared_data("ecommerce_challenge"))))
    assert {name: item.source.fact for name, item in sources.items()} == {
        "events": "event",
        "mock_data": "event",
        "products": "dimension",
        "users": "dimension",
    }
    events = sources["events"].source
    assert dict(events.mapping.items()) == {
        "event_time": "timestamp",
        "actor_id": "user_id",
        "event_name": "event_type",
    }
    assert events.contract.fields["user_id"].type == "string"
    assert events.contract.fields["product_id"].references == "products.product_id"
    assert sources["mock_data"].source.format == "json"
    assert sources["mock_data"].source.contract.fields["clicked_product_ids"].type == "json"
    assert sources["products"].source.contract.fields["price"].type == "number"


def test_wikimedia_daily_folder(shared_data: Shared) -> None:
    folder = find(shared_data("wikimedia_projectview_daily"), "daily")
    [item] = propose(str(folder)).sources
    source = item.source
    assert (source.fact, source.mapping.entity, source.mapping.event_time) == ("count", "entity", "Date")
    assert source.measures == ("Total", "Desktop site", "Mobile site", "Zero site")
    assert source.path_fields is not None
    # all.csv is the exact sum of the 852 sites (DATA's own statement): counted in, everything would count twice.
    assert [(rule.name, rule.where) for rule in source.contract.rules] == [("is_no_total", "entity <> 'all'")]
    assert len(item.files) == 853


def test_wikimedia_hourly_files(shared_data: Shared) -> None:
    [item] = propose(str(shared_data("wikimedia_hourly_fixtures"))).sources
    assert (item.source.kind, item.source.fact, item.source.complete.by) == ("projectviews", "count", "hourly_file")
    assert len(item.files) == 334


def test_cookie_cats_has_no_time_and_is_a_table_of_players(shared_data: Shared) -> None:
    [item] = propose(str(find(shared_data("cookie_cats"), "cookie_cats.csv"))).sources
    assert (item.source.fact, item.source.key) == ("dimension", ("userid",))
    assert item.source.contract.fields["retention_1"].type == "boolean"
    assert "No field holds a time" in " ".join(item.notes)
    assert item.rows_looked == 90_189


def test_online_shoppers_has_no_time_and_says_what_is_missing(shared_data: Shared) -> None:
    [item] = propose(str(shared_data("online_shoppers_uci"))).sources
    assert (item.source.fact, item.source.key) == ("dimension", ("session_id",))
    assert "add a field with the instant" in " ".join(item.notes)


def test_cdnow(shared_data: Shared) -> None:
    proposal = propose(str(shared_data("cdnow")))
    [item] = proposal.sources
    source = item.source
    assert source.columns == ("actor_id", "column_2", "event_time", "column_4", "column_5")
    assert source.time_format == "%Y%m%d"
    assert source.contract.fields["actor_id"].type == "string"  # 00004
    assert proposal.project.epoch.isoformat() == "1997-01-01"
    customers = next(profile for profile in item.profiles if profile.name == "actor_id")
    assert (customers.rows, customers.distinct) == (6_919, 2_357)  # Fader and Hardie's sample


def test_opensearch_bulk_file(shared_data: Shared) -> None:
    proposal = propose(str(shared_data("opensearch_ubi_esci")))
    [item] = proposal.sources
    source = item.source
    assert (source.fact, source.time_format) == ("event", "auto")
    assert dict(source.mapping.items()) == {
        "event_time": "timestamp",
        "actor_id": "client_id",  # user_id is never filled
        "event_name": "action_name",
        "session_id": "session_id",
    }
    assert source.contract.max_quarantined_share == pytest.approx(0.55)
    assert "instructions to a search engine" in " ".join(item.notes)
    assert {path.name for path in (skipped.path for skipped in proposal.skipped)} == {
        "esci_us_judgments.json",
        "esci_us_queryset.json",
    }


def test_files_of_no_use_are_named(shared_data: Shared) -> None:
    folder = shared_data("clinc150")
    with pytest.raises(ProjectError, match="one JSON document"):
        propose(str(folder))
