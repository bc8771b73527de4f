#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the six traces of this directory; README.md says what is in them.

    test/data/make.py [--seed N] [--out DIR] [NAME ...]     writes NAME.csv (all six)
    test/data/make.py --check                               fails unless the committed files are these

A trace follows from its name and the seed; the committed ones have seed 1. All but daily begin with three
days of coarse lines, the history that a forecast learns from, and end with an hour in steps of five seconds,
the time in which an early warning has to come. Beside its lines a trace knows what is going to happen: a
comment "# exhausted N" names the second from which 32 connections are not enough.
"""
import argparse
import math
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
DAY, HOUR, COARSE, FINE = 86400, 3600, 900, 5
HISTORY = 3 * DAY
CAPACITY = 32  # connections that the pool in front of the traces has
HEADER = "second,arrivals,hold_ms,errors,latency_ms,leaked"


class Dice:
    """Draws from random() alone: the same on every version of Python."""

    def __init__(self, name, seed):
        self.random = random.Random(f"{name} {seed}").random

    def normal(self):
        return math.sqrt(-2 * math.log(1 - self.random())) * math.cos(2 * math.pi * self.random())

    def poisson(self, mean):
        if mean > 50:
            return max(0, round(mean + math.sqrt(mean) * self.normal()))
        count, product, least = 0, self.random(), math.exp(-mean)
        while product > least:
            count, product = count + 1, product * self.random()
        return count

    def around(self, value, part):
        return max(1, round(value * (1 + part * self.normal())))


def line(dice, second, step, rate, hold=120.0, errors=0.002, leaks=0.0):
    """One interval: `rate` arrivals a second, of which the share `errors` fails."""
    arrivals = dice.poisson(rate * step)
    part = 0.3 / math.sqrt(max(1, arrivals))
    hold_ms = dice.around(hold, part)
    failed = min(arrivals, dice.poisson(errors * arrivals))
    leaked = min(arrivals - failed, dice.poisson(leaks * step))
    return [second, arrivals, hold_ms, failed, dice.around(hold_ms * 0.8, part), leaked]


def history(dice, rate=lambda second: 40.0, **rest):
    return [line(dice, second, COARSE, rate(second), **rest) for second in range(0, HISTORY, COARSE)]


def fine():
    return range(HISTORY, HISTORY + HOUR, FINE)


def steady(dice):
    return history(dice) + [line(dice, second, FINE, 40.0) for second in fine()], []


def clock_rate(second):
    """A working day: a night, a rush at nine, a dip at noon, an evening, and a batch on the hour."""
    hour = second % DAY / HOUR
    rate = 12 + 60 / (1 + math.exp(-(hour - 9) * 6)) * (1 - 1 / (1 + math.exp(-(hour - 18) * 2)))
    rate -= 22 * math.exp(-((hour - 12.5) / 0.6) ** 2)
    rate += 25 * math.exp(-((hour - 20.5) / 1.2) ** 2)
    return rate * (1.7 if second % HOUR < 600 else 1.0)


def daily(dice):
    lines, weather = [], 1.0
    for second in range(0, 7 * DAY, 300):
        if second % DAY == 0:
            weather = 1 + 0.06 * dice.normal()
        lines.append(line(dice, second, 300, clock_rate(second) * weather))
    return lines, []


def strain(busy):
    """What is served near the limit is served slowly, and beyond it fails."""
    load = busy / CAPACITY
    slow = 1 + 0.35 * max(0.0, load - 0.6)
    return slow, 0.002 + 0.06 * max(0.0, load - 0.7) + 0.5 * max(0.0, load - 1)


def growing(dice, rate_of, leaks_of):
    """Lines of the fine hour while something grows, and the second in which it is too much."""
    lines, leaked, exhausted = history(dice), 0, None
    for second in fine():
        since = second - HISTORY
        rate, leaks = rate_of(since), leaks_of(since)
        slow, errors = strain(rate * 0.120 + leaked)
        if exhausted is None and rate * 0.120 * slow + leaked >= CAPACITY:
            exhausted = second
        lines.append(line(dice, second, FINE, rate, 120 * slow, errors, leaks))
        leaked += lines[-1][5]
    return lines, [f"exhausted {exhausted}"]


def ramp(dice):
    start = 900 + 300 * dice.random()
    slope = 0.09 + 0.03 * dice.random()
    return growing(dice, lambda since: 40 + slope * max(0.0, since - start), lambda since: 0.0)


def leak(dice):
    start = 900 + 300 * dice.random()
    pace = 0.014 + 0.004 * dice.random()
    return growing(dice, lambda since: 40.0, lambda since: pace if since >= start else 0.0)


def flapping(dice):
    """The far side comes and goes, for minutes each, in no rhythm."""
    lines, until, good = history(dice, errors=0.19, hold=95.0), HISTORY, False
    for second in fine():
        if second >= until:
            good = not good
            until = second + (240 + 240 * dice.random() if good else 60 + 120 * dice.random())
        lines.append(line(dice, second, FINE, 40.0 if good else 34.0, 120.0 if good else 40.0,
                          0.002 if good else 0.6))
    return lines, []


def sudden(dice):
    """From one second to the next five times as much, for a while: nothing told of it before."""
    start = HISTORY + 1200 + FINE * int(120 * dice.random())
    lines = history(dice)
    for second in fine():
        rate = 200.0 if start <= second < start + 900 else 40.0
        lines.append(line(dice, second, FINE, rate))
    return lines, [f"begins {start}"]


TRACES = {"steady": steady, "daily": daily, "ramp": ramp, "leak": leak, "flapping": flapping,
          "sudden": sudden}


def text_of(name, seed):
    lines, facts = TRACES[name](Dice(name, seed))
    about = " ".join(TRACES[name].__doc__.split()) if TRACES[name].__doc__ else ""
    head = [f"# {name}, seed {seed}" + (f": {about}" if about else "")]
    head += [f"# {fact}" for fact in facts] + [HEADER]
    return "\n".join(head + [",".join(map(str, row)) for row in lines]) + "\n"


def main():
    parser = argparse.ArgumentParser(description="writes the traces")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRACES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    args = parser.parse_args()
    wrong = [name for name in args.names if name not in TRACES]
    if wrong:
        parser.error(f"no such trace: {', '.join(wrong)}")
    differ = 0
    for name in args.names or TRACES:
        path = args.out / f"{name}.csv"
        text = text_of(name, args.seed)
        if not args.check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            differ += 1
            print(f"{path.name}: is not what make.py --seed {args.seed} writes")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
