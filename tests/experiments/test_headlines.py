"""The figures in the running text of README and pages follow from the committed tables.

Tables between markers are made by their studies; the sentences around them are written by hand.
Each claim here is a sentence of a page with the values that the tables give put in.
"""

import re
from pathlib import Path

import pandas as pd
import pytest

from experiments.papers.gan_distillation.setting import TABLE_1
from experiments.study.statistics import where

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"


def table(path, **values):
    """Return the rows of a committed table in which columns have these values."""
    return where(pd.read_csv(EXPERIMENTS / path), **values)


def row(path, **values):
    """Return the one row with these values."""
    (found,) = table(path, **values).to_dict("records")
    return found


def wire_table():
    """Yield the README's table of the main job's bytes."""
    rows = table("benchmarks/results/protocol_summary.csv")
    for _, r in rows[~rows["wire"].str.contains(",")].iterrows():
        quality = "| | |"
        if pd.notna(r["conditional_accuracy"]):
            quality = f"| {r['conditional_accuracy']:.3f} | {r['synthetic_accuracy']:.3f} |"
        ratio = f"{r['ratio_to_plain']:.3g}" if r["ratio_to_plain"] >= 10 else None
        ratio = ratio or f"{r['ratio_to_plain']:.2f}"
        yield f"| {r['total_bytes']:,} | {ratio} {quality}"


def quickstart_table():
    """Yield the README's table of the main job's levels."""
    rounds = table("quickstart/rounds.csv")
    for first in (1, 7, 13, 19):
        last = rounds[rounds["round"] == first + 5].iloc[0]
        yield (
            f"| {first}-{first + 5} | {100 * last['sparsity']:.1f} % | {last['up_bytes']:,.0f} | "
            f"{last['down_bytes']:,.0f} | {last['dense_up_bytes'] / last['up_bytes']:.2f} | "
            f"{last['conditional_accuracy']:.3f} | {last['synthetic_accuracy']:.3f} | "
            f"{last['frechet_distance']:.2f} |"
        )


def ticket(data, kind="retrained"):
    """Return the verdict on one data set's tickets."""
    path = "papers/compressibility_wgan/results/headline.csv"
    return row(path, data=data, scope="global", kind=kind)


def pruned_generators():
    """Yield where pruned generators are shown to be not worse, and where worse."""
    found = {data: ticket(data) for data in ("pendigits", "uji", "strokes")}
    assert {r["not_worse_up_to"] for r in found.values()} == {0}
    shares = {data: 100 * r["sparsity"] for data, r in found.items()}
    worse = [100 * (1 - 0.8 ** found[data]["worse_from"]) for data in ("pendigits", "strokes")]
    yield (
        f"passes on pen digits, up to {shares['pendigits']:.1f} % pruned; it is worse from "
        f"{worse[0]:.1f} % on, on strokes from {worse[1]:.1f} %"
    )
    assert [found[data]["last_passing"] for data in ("uji", "strokes")] == [0, 0]


def results_table():
    """Yield the rows of docs/results.md on pruned generators."""
    for data in ("pendigits", "uji", "strokes"):
        r, printed = ticket(data), ticket(data, "pruned")
        last = "| | |"
        if r["last_passing"]:
            last = f"{100 * r['sparsity']:.1f} % | {r['lzma_signed_zeros']:.1f} | "
            last += f"{r['sparse']:.1f} |"
        yield f"| P = {r['worse_from']:.0f} | {last}"
        assert pd.isna(printed["passing"])
        yield f"as printed | none | none | P = {printed['worse_from']:.0f} |"


def tickets_page():
    """Yield what the page of paper 000 says in its verdict."""
    found = {data: ticket(data) for data in ("pendigits", "uji", "strokes")}
    best, worse = found["pendigits"], [r["worse_from"] for r in found.values()]
    assert [r["last_passing"] for r in found.values()] == [best["last_passing"], 0, 0]
    yield (
        f"passes at single levels on `pendigits` alone, up to P = {best['last_passing']} "
        f"({100 * best['sparsity']:.1f} % pruned)"
    )
    yield "from P = {:.0f} on `pendigits`, {:.0f} on `uji` and {:.0f} on `strokes`".format(*worse)
    printed = [ticket(data, "pruned")["worse_from"] for data in ("pendigits", "strokes")]
    yield "worse from P = {:.0f} on `pendigits` and {:.0f} on `strokes`".format(*printed)
    lost = row(
        "papers/compressibility_wgan/results/not_worse.csv", data="pendigits", scope="global",
        kind="retrained", level=14, codec="sparse", measure="synthetic_accuracy",
    )  # fmt: skip
    yield f"loses {-lost['difference']:.3f} ({-lost['high']:.3f} to {-lost['low']:.3f})"
    quality = table("papers/compressibility_wgan/results/quality_summary.csv", scope="global")
    dense = where(quality, data="pendigits", kind="retrained", level=0, codec="sparse")
    ticket_10 = where(quality, data="pendigits", kind="retrained", level=10, codec="sparse")
    yield (
        f"it covers {dense['coverage'].iloc[0]:.2f} of the real test samples. Tickets of P = 10 "
        f"cover {ticket_10['coverage'].iloc[0]:.2f}"
    )
    judge = where(quality, data="uji", kind="real")["conditional_accuracy"].iloc[0]
    yield f"the judge recognises {judge:.2f} of real characters that it has not learnt"


def ratios():
    """Yield the ratios of both readings, of lossy codes, and with signed zeros."""
    path = "papers/compressibility_wgan/results/codecs.csv"
    coded = table(path, data="pendigits", scope="global", zeros="canonical")
    coded = coded.set_index(["kind", "level", "codec"])["ratio"]

    def both(level, codec):
        return [coded[kind, level, codec] for kind in ("retrained", "pruned")]

    yield "{:.1f} instead of {:.1f} at P = 14".format(*both(14, "sparse"))
    yield "{:.1f} instead of {:.1f} at P = 17".format(*both(17, "sparse"))
    yield "`sparse:int8` {:.0f} instead of {:.0f} at P = 17".format(*both(17, "sparse:int8"))
    last = ticket("pendigits")["last_passing"]
    lossy = [coded["retrained", last, f"sparse:int{bits}"] for bits in (8, 6)]
    yield "up to P = {}, {:.1f} and {:.1f} times smaller".format(last, *lossy)
    rows = table("papers/compressibility_wgan/results/table2.csv", P=14)
    ends = [rows["lzma_signed"].min(), rows["lzma_signed"].max()]
    ends += [rows["lzma_canonical"].min(), rows["lzma_canonical"].max(), rows["sparse"].mean()]
    yield "LZMA reaches {:.1f} to {:.1f} with them and {:.0f} to {:.0f} without".format(*ends)
    yield f"`sparse` reaches {ends[4]:.0f}"
    rows = table("papers/compressibility_wgan/results/table2.csv", P=17).mean(numeric_only=True)
    three = rows[["lzma_signed", "lzma_canonical", "sparse"]]
    yield "At P = 17: {:.0f}, {:.0f} and {:.0f}".format(*three)


def updates():
    """Yield what compressed updates save."""
    rows = table("benchmarks/results/updates_summary.csv")
    classifier = rows[rows["ratio_bytes"].round() == 511].iloc[0]
    plain = rows[(rows["task"] == classifier["task"]) & (rows["codec_up"] == "plain")].iloc[0]
    lost = 100 * (plain["final"] - classifier["final"])
    yield f"ends {lost:.1f} points below plain FedAvg with {classifier['ratio_bytes']:.0f} times"
    gan = rows[(rows["task"] == "gan_digits")]
    plain, longer = gan[gan["codec_up"] == "plain"].iloc[:2].to_dict("records")
    best = gan.sort_values("reached_bytes").iloc[0]
    assert best["reached_bytes"] <= gan.iloc[2]["reached_bytes"]
    mb = [r["reached_bytes"] / 1e6 for r in (gan.iloc[2], plain, longer)]
    yield f"reaches its quality with {mb[0]:.2f} MB in place of {mb[1]:.1f}"
    yield f"longer local training included ({mb[2]:.1f} MB with that alone)"


def private_training():
    """Yield what epsilon = 30 and 10 cost on pen digits."""
    found = {
        budget: row("privacy/results/summary.csv", data="pendigits", budget=budget)
        for budget in ("none", "30", "10", "3")
    }
    value = {
        budget: f"{r['conditional_accuracy']:.3f} ± {r['conditional_accuracy_half_width']:.3f}"
        for budget, r in found.items()
    }
    yield f"conditional accuracy of {value['30']} and no noise {value['none']}"
    yield f"Epsilon = 10 has {value['10']}, 3 half of it ({value['3'].split()[0]})"


def asynchronous():
    """Yield how long asynchronous federations take beside the main job."""
    runs = table("links/results/runs.csv")
    times = runs.pivot_table(index="seed", columns="way", values="virtual_s_to_target")
    share = times.div(times["main job"], axis=0).mean()
    yield f"FedAsync takes {share['FedAsync']:.2f} of the main job's time"
    yield f"FedBuff {share['FedBuff']:.2f}"


def what_holds():
    """Yield the figures on the page of verdicts."""
    worse = row(
        "papers/compressibility_wgan/results/not_worse.csv", data="pendigits", scope="global",
        kind="retrained", level=17, codec="sparse", measure="synthetic_accuracy",
    )  # fmt: skip
    yield f"{worse['difference']:.3f} ({worse['low']:.3f} to {worse['high']:.3f}) at P = 17"
    for data in ("pendigits", "strokes"):
        other = row(
            "papers/compressibility_wgan/results/controls.csv", data=data, scope="global",
            kind="reinitialised", level=17, measure="synthetic_accuracy",
        )  # fmt: skip
        yield f"{other['difference']:.3f} ({other['low']:.3f} to {other['high']:.3f}) {data}"
    lost = table(
        "papers/fl_compression_comparison/results/differences.csv", partition="iid",
        algorithm="fedavg",
    ).set_index("method")  # fmt: skip
    for text, method in (
        ("pruning {} points", "p"), ("8 bits {}", "q"), ("distillation {} points", "d"),
        ("all three {}", "pqd"),
    ):  # fmt: skip
        found = 100 * lost.loc[method, ["test_accuracy", "test_accuracy_half_width"]].astype(float)
        yield text.format(f"{found.iloc[0]:+.2f} ± {found.iloc[1]:.2f}")
    plain = row(
        "papers/fl_compression_comparison/results/table5.csv", model=1, partition="iid",
        algorithm="fedavg",
    )  # fmt: skip

    percent = [100 * plain[name] for name in ("test_accuracy", "test_accuracy_half_width")]
    yield f"{percent[0]:.2f} ± {percent[1]:.2f} % on test data"
    rg = row(
        "papers/rg_gan/results/differences.csv", family="sngan", method="rg", samples=10000,
        augmented_data=False,
    )  # fmt: skip
    yield f"SNGAN {rg['frechet_distance']:+.1f} ± {rg['frechet_distance_half_width']:.1f}"
    scores, distances = (list(students(measure, digits)) for measure, digits in STUDENTS.items())
    yield f"score {scores[0]} at d = 2, {scores[1]} at d = 8"
    yield f"Fréchet distance {' and '.join(distances)}"
    for sentence in (*updates(), *asynchronous(), *private_training()):
        for figure in re.findall(r"\d\.\d+ ± \d\.\d+|\b511\b|0\.45|0\.63", sentence):
            if not figure.startswith(("0.695", "0.403")):
                yield figure


STUDENTS = {"inception_score": 2, "frechet_distance": 1}


def students(measure, digits, role="mse"):
    """Yield the differences of students to regular GANs, by size."""
    rows = table("papers/gan_distillation/results/differences.csv", role=role)
    for _, row in rows.sort_values("depth").iterrows():
        yield f"{row[measure]:+.{digits}f} ± {row[f'{measure}_half_width']:.{digits}f}"


def distillation():
    """Yield what students score beside regular GANs of their size."""
    scores, distances = (list(students(measure, digits)) for measure, digits in STUDENTS.items())
    yield f"the MSE student minus the regular GAN is {scores[0]} at d = 2 and {scores[1]} at d = 8"
    papers = [f"{TABLE_1[depth].student - TABLE_1[depth].regular:+.2f}" for depth in (2, 8)]
    yield f"where the paper has {' and '.join(papers)}"
    yield f"{distances[0]} at d = 2, {distances[1]} at d = 8"
    longer = [next(students(measure, n, "mse_longer")) for measure, n in STUDENTS.items()]
    yield f"the score differs by {longer[0]}, the Fréchet distance by {longer[1]}"
    yield "the scores differ by {} and {}".format(*students("inception_score", 2, "game"))
    every = table("papers/gan_distillation/results/differences.csv")
    yield f"with five seeds and {len(every)} comparisons each of these intervals contains zero"
    assert (every["seeds"] == 5).all()
    for measure in STUDENTS:
        assert not sure(every, measure).any()
    surely = every[sure(every, "coverage")]
    assert list(zip(surely["role"], surely["depth"], strict=True)) == [
        ("game", 2),
        ("mse_longer", 2),
    ]
    covered = [next(students("coverage", 2, role)) for role in surely["role"]]
    yield "own critic ({}) and MSE, longer ({})".format(*covered)
    assert (every.loc[every["role"] != "mse_drawn", "coverage"] > 0).all()
    means = table("papers/gan_distillation/results/summary.csv").set_index(["role", "depth"])
    small, large = means.loc[("regular", 2)], means.loc[("teacher", 32)]
    yield f"({small['inception_score']:.2f} of {large['inception_score']:.2f})"
    drawn = means.loc[("mse_drawn", 2)]
    yield f"{drawn['blank'] * drawn['seeds']:.0f} of 5 students of d = 2 are blank"
    others = means.loc[["mse", "mse_longer", "joint", "game"]]
    assert others["blank"].eq(0).all()
    yield f"none of {others['seeds'].sum()} students is"
    fixed, own = (means.loc[[role]] for role in ("joint", "game"))
    yield "scores {:.2f} and {:.2f} against {:.2f} and {:.2f}".format(
        *fixed["inception_score"], *means.loc[["mse"], "inception_score"]
    )
    yield "scores {:.2f} and {:.2f}, Fréchet distances {:.1f} and {:.1f}".format(
        *own["inception_score"], *own["frechet_distance"]
    )
    yield f"d = 2 has {small['ratio']:.1f} times fewer weights than the teacher"


def sure(rows, measure):
    """Return for each row whether its interval is without zero."""
    return rows[measure].abs() > rows[f"{measure}_half_width"]


def regeneration():
    """Yield the Fréchet distances of an SNGAN's parts of RG-GAN."""
    rows = table(
        "papers/rg_gan/results/summary.csv", family="sngan", samples=10000, augmented_data=False,
        output="best",
    ).set_index("method")["frechet_distance"]  # fmt: skip
    both = rows[["dp_b", "rr_b", "rg"]]
    yield "both networks: {:.1f} pruned, {:.1f} with recurrent, {:.1f} with both".format(*both)
    critic = rows[["dp_d", "rr_d", "ar_d"]]
    yield "only the critic: {:.1f}, {:.1f}, {:.1f}".format(*critic)
    assert (critic < rows["dense"]).tolist() == [False, True, True]
    yield f"the only ones below the dense {rows['dense']:.1f}"
    yield f"do no harm ({rows['rg_all']:.1f} against {rows['rg']:.1f})"
    yield f"as in the published code, do ({rows['rg_cut']:.1f})"


CLAIMS = {
    wire_table: "README.md",
    quickstart_table: "README.md",
    pruned_generators: "README.md",
    results_table: "docs/results.md",
    tickets_page: "experiments/papers/compressibility_wgan/README.md",
    ratios: "experiments/papers/compressibility_wgan/README.md",
    updates: "README.md",
    private_training: "experiments/privacy/README.md",
    asynchronous: "docs/links.md",
    distillation: "experiments/papers/gan_distillation/README.md",
    regeneration: "experiments/papers/rg_gan/README.md",
    what_holds: "docs/what_holds.md",
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_text_says_what_the_tables_say(claim):
    text = " ".join((ROOT / CLAIMS[claim]).read_text().split())
    said = list(claim())
    assert said
    for sentence in said:
        assert sentence in text
