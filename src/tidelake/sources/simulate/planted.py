"""What can be planted into the collapse clickstream: six stories with one right answer each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REGIONS = ("IN-North", "IN-South", "IN-West", "IN-East", "US-East", "EU-West")
REGION_WEIGHTS = (0.24, 0.21, 0.17, 0.10, 0.15, 0.13)
REGION_OFFSET_HOURS = (5.5, 5.5, 5.5, 5.5, -5.0, 1.0)
# How much likelier a session plays something than in the average region.
REGION_PLAY = (1.0, 1.02, 1.0, 0.5, 1.04, 1.03)
DEVICES = ("android", "ios", "web", "smart_tv")
DEVICE_WEIGHTS = (0.48, 0.22, 0.18, 0.12)
VERSIONS = ("1.8", "1.9", "1.10", "1.11")
VERSION_WEIGHTS = (0.14, 0.34, 0.52, 0.0)
MODELS = ("v4.1", "v4.2")


@dataclass(frozen=True)
class Effect:
    """From the onset on, sessions of one segment behave differently.

    Attributes:
        where: Dimension to the values that belong to the segment; all must match. Empty = everybody.
        people: Factor on the number of people, 1 or more; by region only.
        play_probability: Factor on the share of sessions that play anything.
        plays: Factor on the plays after the first, in sessions that play.
        minutes: Factor on the playing time of a play.
    """

    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    people: float = 1.0
    play_probability: float = 1.0
    plays: float = 1.0
    minutes: float = 1.0


@dataclass(frozen=True)
class Plant:
    """One story.

    Attributes:
        answer: What a right explanation says, in words.
        root_causes: The segments that carry the change; empty where no segment does.
        cause: `segment`, `global`, `mix`, `data_fault` or `none`.
        new_version_share: Share of users whose app is 1.11 once the release has spread (4 days from the onset).
        lost_batches: Share of (user, minute) batches that never reach the logs from the onset on.
        model_rollout: Share of users that get model v4.2 at the onset, in every region.
    """

    answer: str
    cause: str
    root_causes: tuple[dict[str, str], ...] = ()
    effects: tuple[Effect, ...] = ()
    new_version_share: float = 0.0
    lost_batches: float = 0.0
    model_rollout: float = 0.8

    def described(self) -> dict[str, Any]:
        """For the truth file."""
        return {
            "cause": self.cause,
            "answer": self.answer,
            "root_causes": list(self.root_causes),
            "effects": [vars(effect) for effect in self.effects],
            "new_version_share": self.new_version_share,
            "lost_batches": self.lost_batches,
            "model_rollout": self.model_rollout,
        }


_FAILED = ("IN-North", "IN-South")
_GRADES = dict(zip(REGIONS, (0.88, 0.84, 0.78, 0.72, 0.92, 0.95), strict=True))

PLANTS: dict[str, Plant] = {
    "regional_model_failure": Plant(
        answer="Model v4.2 plays worse in IN-North and IN-South only: fewer sessions play, and those play less.",
        cause="segment",
        root_causes=tuple({"region": region, "model_version": "v4.2"} for region in _FAILED),
        effects=(Effect({"region": _FAILED, "model_version": ("v4.2",)}, play_probability=0.65, plays=0.75),),
    ),
    "global_fall": Plant(
        answer="Playing time per play halves everywhere, and plays fall by graded amounts: no single segment.",
        cause="global",
        effects=(
            Effect(minutes=0.5),
            *(Effect({"region": (region,)}, play_probability=grade) for region, grade in _GRADES.items()),
        ),
    ),
    "broken_release": Plant(
        answer="Release 1.11 hardly plays on android; the same release is sound elsewhere.",
        cause="segment",
        root_causes=({"app_version": "1.11", "device": "android"},),
        effects=(Effect({"app_version": ("1.11",), "device": ("android",)}, play_probability=0.2),),
        new_version_share=0.6,
    ),
    "mix_shift": Plant(
        answer="IN-East, where fewer sessions play, grew fourfold; no segment plays less than before.",
        cause="mix",
        root_causes=({"region": "IN-East"},),
        effects=(Effect({"region": ("IN-East",)}, people=4.0),),
    ),
    "tracking_loss": Plant(
        answer="Three of ten batches never reach the logs: every event type falls at once, nothing real did.",
        cause="data_fault",
        lost_batches=0.3,
    ),
    "nothing": Plant(answer="Nothing changed.", cause="none"),
}
