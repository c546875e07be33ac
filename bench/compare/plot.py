"""The comparison as a picture: one SVG, a panel for each group."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the backend is chosen)

OURS = "relay"
COLOURS = {True: "#2a6f97", False: "#a9b4bd"}  # ours, others


def bars(axes, names, values, unit):
    """Horizontal bars of medians with the spread of the rounds."""
    medians = [value["median"] / unit for value in values]
    errors = [[(value["median"] - value["min"]) / unit for value in values],
              [(value["max"] - value["median"]) / unit for value in values]]
    axes.barh(names, medians, xerr=errors, capsize=2, error_kw={"linewidth": 0.8},
              color=[COLOURS[name.startswith(OURS)] for name in names])
    for row, (value, median) in enumerate(zip(values, medians)):
        axes.annotate(f"{median:.2f}" if unit == 1e6 else f"{median:.0f}",
                      (value["max"] / unit, row), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=7)


def prepare(axes, title, label):
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def draw(path, memif, veth, caption):
    """Either group's summary may be None: it was not measured."""
    panels = []
    if memif:
        panels.append(("memif: no kernel, generator and device on a core each", "Mpps",
                       1e6, "packets_per_second", memif))
    if veth:
        delivered = {name: row for name, row in veth.items() if "packets_per_second" in row}
        panels.append(("veth: highest rate with less than 0.5 % lost", "kpps",
                       1e3, "packets_per_second", delivered))
        panels.append(("veth: the same, per busy core of the whole machine", "kpps per busy core",
                       1e3, "per_core", delivered))
    pyplot.rcParams["svg.fonttype"] = "none"  # text stays text: small, and can be searched
    pyplot.rcParams["svg.hashsalt"] = "bridgehead"
    figure, all_axes = pyplot.subplots(
        len(panels), 1, squeeze=False, layout="constrained",
        figsize=(7, sum(0.7 + 0.3 * len(panel[4]) for panel in panels) + 0.4),
        gridspec_kw={"height_ratios": [2 + len(panel[4]) for panel in panels]})
    for axes, (title, label, unit, key, rows) in zip(all_axes[:, 0], panels):
        bars(axes, list(rows), [row[key] for row in rows.values()], unit)
        prepare(axes, title, label)
    figure.supxlabel(caption, fontsize=7, x=0.01, ha="left")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
