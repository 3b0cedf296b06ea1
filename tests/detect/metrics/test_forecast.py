"""Forecasts: a trend reaches its limit in time, noise and sawteeth have none, the band holds what comes."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.detect.metrics.forecast import forecast

HOUR_S = 3600.0


def _times(count: int, step_s: float = 60.0) -> np.ndarray:
    return (np.arange(count) * step_s * 1e9).astype(np.int64)


def test_a_filling_disk_reaches_its_limit_when_it_does() -> None:
    random = np.random.default_rng(1)
    values = 0.5 + 0.0005 * np.arange(600) + random.normal(0, 0.004, 600)
    ahead = forecast(_times(600), values, limit=1.0, horizon_s=10 * HOUR_S)
    true_s = (1.0 - values[-1]) / 0.0005 * 60
    assert ahead.is_trend
    assert ahead.time_to_limit_s == pytest.approx(true_s, rel=0.1)
    assert ahead.earliest_s is not None
    assert ahead.earliest_s <= ahead.time_to_limit_s
    assert ahead.latest_s is None or ahead.latest_s >= ahead.time_to_limit_s


def test_a_share_that_falls_has_no_limit_above() -> None:
    values = 0.9 - 0.0005 * np.arange(600)
    ahead = forecast(_times(600), values, limit=1.0, horizon_s=10 * HOUR_S)
    assert ahead.is_trend
    assert ahead.slope_per_s < 0
    assert ahead.time_to_limit_s is None


def test_flat_noise_and_wandering_have_no_trend() -> None:
    raised = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        noise = random.normal(0, 0.02, 600)
        if seed % 2:
            noise = np.convolve(noise, np.ones(10) / 3, mode="same")
        ahead = forecast(_times(600), 0.7 + noise, limit=1.0, horizon_s=24 * HOUR_S)
        raised += ahead.is_trend
    assert raised == 0


@pytest.mark.parametrize("period", [25, 90, 240])
@pytest.mark.parametrize("end", [0.3, 0.95])
def test_a_sawtooth_has_no_trend(period: int, end: float) -> None:
    count = int(period * (3 + end))
    values = 0.4 + 0.4 * (np.arange(count) % period) / period + np.random.default_rng(3).normal(0, 0.005, count)
    ahead = forecast(_times(count), values, limit=1.0, horizon_s=24 * HOUR_S)
    assert not ahead.is_trend
    assert ahead.time_to_limit_s is None


def test_the_band_holds_what_comes_of_noise() -> None:
    inside = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        values = 50 + random.normal(0, 2, 660)
        ahead = forecast(_times(660)[:600], values[:600], limit=None, horizon_s=HOUR_S)
        low = np.interp(_times(660)[600:], ahead.times_unix_ns, ahead.low)
        high = np.interp(_times(660)[600:], ahead.times_unix_ns, ahead.high)
        inside.append(float(((values[600:] >= low) & (values[600:] <= high)).mean()))
    assert 0.8 <= float(np.mean(inside)) <= 0.99


@pytest.mark.parametrize("seed", range(6))
def test_growth_that_gathers_speed_under_waves_is_told_in_time(seed: int) -> None:
    random = np.random.default_rng(seed)
    at = np.arange(600) / 600
    values = 0.3 + 0.5 * at**1.5 + 0.03 * np.sin(2 * np.pi * 6 * at + seed) + random.normal(0, 0.005, 600)
    ahead = forecast(_times(600), values, limit=1.0, horizon_s=10 * HOUR_S)
    true_s = 600 * 60.0 * ((0.7 / 0.5) ** (1 / 1.5) - 1)
    assert ahead.is_trend
    assert ahead.time_to_limit_s == pytest.approx(true_s, rel=0.5)


@pytest.mark.parametrize("seed", range(6))
def test_growth_that_levels_off_below_its_limit_is_not_told(seed: int) -> None:
    values = 0.3 + 0.4 * (1 - np.exp(-np.arange(600) / 150)) + np.random.default_rng(seed).normal(0, 0.004, 600)
    assert forecast(_times(600), values, limit=1.0, horizon_s=6 * HOUR_S).time_to_limit_s is None


def test_wandering_tells_no_limit() -> None:
    told = 0
    for seed in range(60):
        walk = np.cumsum(np.random.default_rng(seed).normal(0, 1, 600))
        values = 0.3 + 0.4 * (walk - walk.min()) / np.ptp(walk)
        told += forecast(_times(600), values, limit=1.0, horizon_s=6 * HOUR_S).time_to_limit_s is not None
    assert told <= 1


def test_gaps_are_left_out_and_too_little_is_refused() -> None:
    values = 0.5 + 0.001 * np.arange(200)
    values[::3] = np.nan
    assert forecast(_times(200), values, limit=1.0, horizon_s=24 * HOUR_S).is_trend
    with pytest.raises(ValueError, match="at least two"):
        forecast(_times(3), np.array([np.nan, 1.0, np.nan]), limit=1.0, horizon_s=HOUR_S)


def test_another_unit_scales_the_forecast_and_nothing_else() -> None:
    values = 3.0 + 0.002 * np.arange(300) + np.random.default_rng(4).normal(0, 0.01, 300)
    plain = forecast(_times(300), values, limit=5.0, horizon_s=24 * HOUR_S)
    scaled = forecast(_times(300), values * 2.0**20, limit=5.0 * 2.0**20, horizon_s=24 * HOUR_S)
    assert plain.z == scaled.z
    assert plain.time_to_limit_s == scaled.time_to_limit_s


def test_a_daily_course_goes_on_tomorrow_as_it_did_today() -> None:
    random = np.random.default_rng(9)
    times, day = _times(3 * 288, 300.0), 2 * np.pi * np.arange(3 * 288) / 288
    values = 10 + 3 * np.sin(day) + random.normal(0, 0.1, len(day))
    known = 2 * 288 + 60
    ahead = forecast(times[:known], values[:known], limit=None, horizon_s=6 * HOUR_S)
    coming = values[known : known + 72]
    mid, low, high = (
        np.interp(times[known : known + 72], ahead.times_unix_ns, one) for one in (ahead.mid, ahead.low, ahead.high)
    )
    assert np.abs(coming - mid).mean() < 0.2 * np.abs(coming - values[known - 1]).mean()
    assert ((coming >= low) & (coming <= high)).mean() > 0.8
    assert float((high - low).max()) < 3
