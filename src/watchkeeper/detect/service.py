"""The watch over one service's log: which templates it knows, how often each comes, what is out of the ordinary.

Enters: the service's part of a batch. Leaves: judgements. Rates are counted in windows of event time; a window is
closed, and learned from, `LATE_WINDOWS` after it ended, but too many lines are told while it is still open. Judges
before it learns. What it does depends on the order of lines, not on how they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.absence import SILENCE_LEARNED_MAX, Absence, silent, stopped
from watchkeeper.detect.base import LearningState
from watchkeeper.detect.excess import band_end, candidates, excess
from watchkeeper.detect.judgement import NO_ROWS, Judgement, Kind
from watchkeeper.detect.novelty import ALARMED_WEIGHT, NoveltyClock
from watchkeeper.detect.parts import (
    ERRORS,
    FIXED_SERIES,
    LATE_WINDOWS,
    LINES,
    SEVERITY_ERROR,
    SEVERITY_WARN,
    WARNINGS,
    About,
    Ints,
    Part,
    Said,
    Timing,
    Touched,
    grade,
    severity_weight,
)
from watchkeeper.detect.series import SeriesBank

WINDOWS_TOGETHER_MAX = 2_000
TEMPLATES_MAX = 10_000

LINES_LEARNED_MIN = 30
LEAP_NS = 30 * 86_400 * 10**9
MODERATE_SCORE, SUDDEN_SCORE, VOTES_MIN, VOTES_OF = 4.0, 8.0, 2, 3
SUSTAINED_SCORE, SPANS, SUSPECT_SCORE = 5.0, (1, 3, 6), 2.0
UNSEEN_SCORE_MIN, KNOWN_ELSEWHERE_LESS = 2.8, 1.0
EXAMPLES_MAX = 5


class ServiceWatch:
    """See the module. `first_ns`: event time of the service's first line.

    confirmed: templates that people confirmed as anomalous, with the score of then; their counts are not learned from.
    """

    def __init__(self, name: str, first_ns: int, timing: Timing) -> None:
        self.name = name
        self.timing = timing
        self.first_ns = self.newest_ns = first_ns
        self.lines = self.late_lines = 0
        self.next_window = first_ns // timing.window_ns + 1
        self.silent_windows = self.empty_windows = 0
        self.behind_ns = 0
        self.ids: dict[int, int] = {}
        self.bank = SeriesBank()
        for _ in range(FIXED_SERIES):
            self.bank.add(first_ns)
        self.counts: dict[int, Ints] = {}
        self.heat: dict[int, dict[int, float]] = {}
        self.suspects: dict[int, set[int]] = {}
        self.clocks = _clocks(first_ns, timing)
        self.settled: set[int] = set()
        self.confirmed: Mapping[int, float] = {}

    # -- state of learning ----------------------------------------------------------------------------------------

    def watches(self, time_ns: int, lines_before: int) -> bool:
        """Tell whether a line of this time, with so many before it, is judged rather than only learned from."""
        return time_ns - self.first_ns >= self.timing.warmup_s * 1e9 and lines_before >= LINES_LEARNED_MIN

    def learning(self) -> LearningState:
        """Tell how far learning has come."""
        watching = self.watches(self.newest_ns, self.lines)
        learned_s = (self.newest_ns - self.first_ns) / 1e9
        return LearningState(
            self.name, "watching" if watching else "warming", learned_s, self.timing.warmup_s, self.lines
        )

    def template_of(self, index: int) -> int | None:
        """Give the template of a series."""
        return next((template for template, known in self.ids.items() if known == index), None)

    # -- scoring --------------------------------------------------------------------------------------------------

    def score(self, part: Part, about: About) -> npt.NDArray[np.float64]:
        """Give each line's score (n,), by what is known now."""
        templates, inverse = np.unique(part.templates, return_inverse=True)
        hot = self._hot()
        known = np.array([hot.get(self.ids.get(int(t), -1), 0.0) for t in templates])[inverse]
        known = np.maximum(known, np.where(part.severities >= SEVERITY_ERROR, hot.get(ERRORS, 0.0), 0.0))
        unseen = np.array([int(template) not in self.ids for template in templates])[inverse]
        for place in np.flatnonzero(unseen).tolist():
            severity = int(part.severities[place])
            known[place] = self._surprise(int(part.templates[place]), int(part.times[place]), severity, about)
        for template, score in self.confirmed.items():
            known = np.where(part.templates == template, np.maximum(known, score), known)
        watched = (part.times - self.first_ns >= self.timing.warmup_s * 1e9) & (self.lines >= LINES_LEARNED_MIN)
        return np.where(watched, known, 0.0)

    def _hot(self) -> dict[int, float]:
        hot: dict[int, float] = {}
        for scores in self.heat.values():
            for index, score in scores.items():
                hot[index] = max(score, hot.get(index, 0.0))
        return hot

    def severity_of(self, template: int) -> int:
        """Give the highest severity that a known template's records carried, 0 when none was a warning or worse."""
        index = self.ids.get(template)
        return 0 if index is None else int(self.bank.severity[index])

    def _surprise(self, template: int, time_ns: int, told: int, about: About) -> float:
        severity = told or about.implied_severity(template)
        clock = self.clocks[grade(severity)]
        less = KNOWN_ELSEWHERE_LESS if about.known_elsewhere(template) else 0.0
        score = clock.surprise(time_ns, self.timing.window_s) + severity_weight(severity) - less
        return max(0.0, score * (1.0 - about.alike(template, told))) if score > 0 else 0.0

    def surprise(self, template: int, about: About) -> float:
        """Give what a template that is new would score now, its severity by its words."""
        return self._surprise(template, self.newest_ns, 0, about)

    # -- learning -------------------------------------------------------------------------------------------------

    def learn(self, part: Part, interest: set[int], about: About) -> Said:
        """Judge the part, then take it in. interest: templates whose lines the caller wants to hear of."""
        said = Said()
        self._leave_a_leap_out(part.times)
        templates, first, inverse, totals = np.unique(
            part.templates, return_index=True, return_inverse=True, return_counts=True
        )
        self._meet(part, templates, first, inverse, said, about)
        index = np.array([self.ids[int(template)] for template in templates], np.int64)
        newest = np.full(len(templates), np.iinfo(np.int64).min)
        np.maximum.at(newest, inverse, part.times)
        for place in np.flatnonzero(np.isin(templates, list(interest))).tolist() if interest else ():
            rows = part.rows[np.flatnonzero(inverse == place)[-EXAMPLES_MAX:]]
            said.touched.append(Touched(int(templates[place]), int(totals[place]), int(newest[place]), rows))
        self._count_life(part, index, totals, newest)
        touched = self._count(part, index[inverse])
        self.lines += len(part.times)
        self.newest_ns = max(self.newest_ns, int(part.times.max()))
        for window in touched:
            said.judgements += self._judge(window, part, index[inverse])
        said.judgements += self.close_until(self.newest_ns)
        return said

    def _leave_a_leap_out(self, times: Ints) -> None:
        """Count learning from after a leap of time within it: the first lines came from a clock that was not set."""
        if times.max() - self.newest_ns <= LEAP_NS or self.watches(self.newest_ns, self.lines):
            return
        ordered = np.concatenate(([self.newest_ns], np.sort(times)))
        leaps = np.flatnonzero(np.diff(ordered) > LEAP_NS)
        if len(leaps):
            self.first_ns = int(ordered[leaps[-1] + 1])
            self.clocks = _clocks(self.first_ns, self.timing)

    def _meet(
        self,
        part: Part,
        templates: Ints,
        first: Ints,
        inverse: Ints,
        said: Said,
        about: About,
    ) -> None:
        """Judge and get to know the templates never seen in this service."""
        unknown = [place for place, template in enumerate(templates.tolist()) if template not in self.ids]
        for place in sorted(unknown, key=lambda one: int(first[one])):
            row, template = int(first[place]), int(templates[place])
            time_ns, told = int(part.times[row]), int(part.severities[row])
            severity = told or about.implied_severity(template)
            weight = 1.0
            if self.watches(time_ns, self.lines + row):
                score = self._surprise(template, time_ns, told, about)
                if score >= UNSEEN_SCORE_MIN:
                    same = np.flatnonzero(inverse == place)
                    said.judgements.append(self._unseen(template, score, part, same, severity))
                    weight = ALARMED_WEIGHT
            self.clocks[grade(severity)].add(time_ns, weight)
            self._make_room()
            self.ids[template] = self.bank.add(time_ns)
            said.met.append(template)

    def _unseen(self, template: int, score: float, part: Part, same: Ints, severity: int) -> Judgement:
        times = part.times[same]
        return Judgement(
            Kind.UNSEEN,
            template,
            -1,
            int(times[0]) // self.timing.window_ns,
            score,
            len(same),
            int(times.min()),
            int(times.max()),
            severity=severity,
            severity_told=bool(part.severities[same[0]]),
            mean=self.clocks[grade(severity)].rate(int(times[0])),
            rows=part.rows[same[:EXAMPLES_MAX]],
            windows=int(self.bank.windows[LINES]),
            learned_lines=self.lines + int(same[0]),
            learned_from_ns=self.first_ns,
        )

    def again(self, one: Touched) -> Judgement | None:
        """Judge further lines of a template that people confirmed as anomalous; None while the service warms up."""
        if not self.watches(one.last_ns, self.lines):
            return None
        return Judgement(
            Kind.UNSEEN,
            one.template_id,
            -1,
            one.last_ns // self.timing.window_ns,
            self.confirmed[one.template_id],
            one.lines,
            one.last_ns,
            one.last_ns,
            severity=self.severity_of(one.template_id),
            rows=one.rows,
            windows=int(self.bank.windows[LINES]),
            learned_lines=self.lines,
            learned_from_ns=self.first_ns,
            confirmed=True,
        )

    def _count_life(self, part: Part, index: Ints, totals: Ints, newest: Ints) -> None:
        bank = self.bank
        bank.lines[index] += totals
        bank.last_ns[index] = np.maximum(bank.last_ns[index], newest)
        at = np.array([self.ids[int(template)] for template in part.templates[part.severities >= SEVERITY_WARN]], int)
        np.maximum.at(bank.severity, at, part.severities[part.severities >= SEVERITY_WARN])

    def _count(self, part: Part, series: Ints) -> list[int]:
        """Count the part into its windows; gives the windows that are still open and got lines."""
        width = self.timing.window_ns
        before = np.maximum.accumulate(np.concatenate(([self.newest_ns], part.times[:-1])))
        floor = np.maximum(self.next_window, before // width - LATE_WINDOWS)
        windows = part.times // width
        timely = windows >= floor
        self.late_lines += int(np.count_nonzero(~timely & (windows != self.first_ns // width)))
        kinds = [
            (series, timely),
            (np.full(len(series), LINES), timely),
            (np.full(len(series), ERRORS), timely & (part.severities >= SEVERITY_ERROR)),
            (
                np.full(len(series), WARNINGS),
                timely & (part.severities >= SEVERITY_WARN) & (part.severities < SEVERITY_ERROR),
            ),
        ]
        touched: list[int] = np.unique(windows[timely]).tolist()
        for window in touched:
            counts = self._counts_of(window)
            here = windows == window
            for which, mask in kinds:
                counts += np.bincount(which[mask & here], minlength=len(counts))
        return touched

    def _counts_of(self, window: int) -> Ints:
        counts = self.counts.get(window)
        if counts is None or len(counts) < self.bank.size:
            wider = np.zeros(self.bank.capacity, np.int64)
            if counts is not None:
                wider[: len(counts)] = counts
            counts = self.counts[window] = wider
        return counts

    # -- too many -------------------------------------------------------------------------------------------------

    def _judge(self, window: int, part: Part, series: Ints) -> list[Judgement]:
        """Judge the counts of an open window, which can only grow, alone and with the windows before it."""
        if not self.watches(self.newest_ns, self.lines):
            return []
        found: dict[int, Judgement] = {}
        for span in SPANS:
            counts = self._span_counts(window, span)
            for index in candidates(self.bank, counts, span, self.timing.windows_min):
                score, mean = excess(self.bank, index, counts, span)
                if score >= SUSPECT_SCORE:
                    self.suspects.setdefault(window, set()).add(index)
                if score < MODERATE_SCORE:
                    continue
                if span == 1:
                    self.heat.setdefault(window, {})[index] = score
                    votes = sum(index in self.heat.get(window - back, ()) for back in range(VOTES_OF))
                    enough = votes >= VOTES_MIN or score >= SUDDEN_SCORE
                else:
                    enough = score >= SUSTAINED_SCORE
                if enough and (index not in found or score > found[index].score):
                    found[index] = self._too_many(index, window, span, score, mean, part, series)
        return list(found.values())

    def _span_counts(self, window: int, span: int) -> Ints:
        """Give the counts of `span` windows up to this one together; (size,)."""
        size = self.bank.size
        total = self.bank.sums(window, span)
        for back in range(span):
            counts = self.counts.get(window - back)
            if counts is not None:
                total[: len(counts)] += counts[:size]
        return total

    def _too_many(
        self, index: int, window: int, span: int, score: float, mean: float, part: Part, series: Ints
    ) -> Judgement:
        bank, width = self.bank, self.timing.window_ns
        if index == ERRORS:
            kind, rows = Kind.ERRORS, part.severities >= SEVERITY_ERROR
        elif index == WARNINGS:
            kind, rows = Kind.BURST, (part.severities >= SEVERITY_WARN) & (part.severities < SEVERITY_ERROR)
        else:
            kind, rows = Kind.RATE, series == index
        rows &= part.times // width == window
        each = [(one, int(self._span_counts(one, 1)[index])) for one in range(window - span + 1, window + 1)]
        total = sum(lines for _, lines in each)
        lines_all = float(self._span_counts(window, span)[LINES])
        spread = float(bank.dispersion(index))
        at = part.times[rows]
        return Judgement(
            kind,
            None if index < FIXED_SERIES else self.template_of(index),
            index,
            window,
            score,
            total,
            next(one for one, lines in each if lines or one == window) * width,
            int(at.max()) if len(at) else window * width,
            severity={ERRORS: SEVERITY_ERROR, WARNINGS: SEVERITY_WARN}.get(index, int(bank.severity[index])),
            mean=mean,
            upper=band_end(mean, spread),
            upper_window=band_end(mean / span, spread),
            share=total / max(1.0, lines_all),
            share_expected=float(bank.mean[index]) / max(1.0, float(bank.mean[LINES])),
            rows=part.rows[np.flatnonzero(rows)[:EXAMPLES_MAX]],
            span=span,
            each=tuple(each),
            **self._baseline(index),
        )

    def _baseline(self, index: int) -> dict[str, Any]:
        return {
            "windows": int(self.bank.windows[index]),
            "learned_lines": self.lines,
            "learned_from_ns": int(max(self.first_ns, self.bank.first_ns[index])),
        }

    # -- closing windows ------------------------------------------------------------------------------------------

    def close_until(self, now_ns: int) -> list[Judgement]:
        """Close and learn every window that ended LATE_WINDOWS before `now_ns`; gives what is silent by then."""
        target = now_ns // self.timing.window_ns - LATE_WINDOWS
        found: list[Judgement] = []
        if target - self.next_window > WINDOWS_TOGETHER_MAX:
            for window in sorted(window for window in self.counts if window < target):
                self._close(window)
            self.suspects.clear()
            self.next_window, self.silent_windows = target, 0
        while self.next_window < target:
            found += self._close(self.next_window)
            self.next_window += 1
        for window in [window for window in self.heat if window < self.next_window - VOTES_OF]:
            del self.heat[window]
        return found

    def skip_to(self, now_ns: int) -> None:
        """Let the time until then pass unseen; counting begins anew with the window after it."""
        passed_ns = now_ns - self.newest_ns
        if passed_ns <= 0:
            return
        if not self.watches(self.newest_ns, self.lines):
            self.first_ns += passed_ns
        self.newest_ns = now_ns
        self.next_window = now_ns // self.timing.window_ns + 1
        for clock in self.clocks:
            clock.skip(passed_ns)
        self.counts, self.heat, self.suspects, self.settled = {}, {}, {}, set()
        self.silent_windows = 0
        self.bank.zeros[:] = 0

    def _close(self, window: int) -> list[Judgement]:
        counts = self.counts.pop(window, None)
        if counts is None or counts[LINES] == 0:
            self.silent_windows += 1
            return self._silent(window)
        self.empty_windows += min(self.silent_windows, SILENCE_LEARNED_MAX)
        self.silent_windows = 0
        bank = self.bank
        if len(counts) < bank.size:
            counts = np.concatenate([counts, np.zeros(bank.size - len(counts), np.int64)])
        stopped = self._stopped(window)
        anomalous = {*self.suspects.pop(window, ()), *(one.series for one in stopped)} - self.settled
        anomalous |= {self.ids[template] for template in self.confirmed if template in self.ids}
        bank.close(window, counts[: bank.size], np.array(sorted(anomalous), np.int64))
        return stopped if self.watches((window + 1) * self.timing.window_ns, self.lines) else []

    def _stopped(self, window: int) -> list[Judgement]:
        gone = stopped(self.bank, self.timing.windows_min)
        return [self._missing(Kind.STOPPED, one.series, window, one) for one in gone]

    def _silent(self, window: int) -> list[Judgement]:
        gone = silent(self.bank, self.silent_windows, self.empty_windows, self.timing.windows_min)
        return [self._missing(Kind.SILENT, LINES, window, gone)] if gone else []

    def _missing(self, kind: Kind, index: int, window: int, gone: Absence) -> Judgement:
        end = (window + 1) * self.timing.window_ns
        quiet = self.silent_windows if kind is Kind.SILENT else int(self.bank.zeros[index])
        return Judgement(
            kind,
            None if index < FIXED_SERIES else self.template_of(index),
            index,
            window,
            gone.score,
            0,
            end - quiet * self.timing.window_ns,
            end,
            severity=int(self.bank.severity[index]),
            mean=gone.due,
            upper=float(self.bank.mean[index]),
            rows=NO_ROWS,
            **self._baseline(index),
        )

    # -- bounds ---------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Forget the half of the templates that were seen longest ago, when there are too many."""
        bank = self.bank
        if bank.size < TEMPLATES_MAX:
            return
        templates = np.argsort(bank.last_ns[FIXED_SERIES : bank.size], kind="stable") + FIXED_SERIES
        kept = np.concatenate([np.arange(FIXED_SERIES), np.sort(templates[len(templates) // 2 :])])
        place = {int(old): new for new, old in enumerate(kept)}
        self.ids = {template: place[old] for template, old in self.ids.items() if old in place}
        for window, counts in self.counts.items():
            wide = np.zeros(max(bank.size, len(counts)), np.int64)
            wide[: len(counts)] = counts
            self.counts[window] = wide[kept]
        self.heat = {w: {place[k]: v for k, v in hot.items() if k in place} for w, hot in self.heat.items()}
        self.suspects = {w: {place[k] for k in who if k in place} for w, who in self.suspects.items()}
        self.settled = {place[k] for k in self.settled if k in place}
        bank.keep(kept)


def _clocks(first_ns: int, timing: Timing) -> list[NoveltyClock]:
    """Give a clock of new templates for each of the three grades of severity, for learning that began then."""
    learned_from = first_ns + int(timing.warmup_s * 0.5e9)
    return [NoveltyClock(learned_from) for _ in range(3)]
