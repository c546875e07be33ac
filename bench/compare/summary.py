"""What the rounds of each group come to, and how a terminal shows it."""

import statistics


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(rounds, name, base, key):
    """Of two devices' values in the same round; None without that base."""
    if any(base not in results or not results[base][key] for results in rounds):
        return None
    return spread([results[name][key] / results[base][key] for results in rounds])


def best_ratio(rounds, name, base):
    """Of the best windows of all; None without that base."""
    best = [max(results[one]["best_window"] for results in rounds) if one in rounds[0] else 0
            for one in (name, base)]
    return best[0] / best[1] if best[1] else None


def of_memif(rounds, base):
    """Median and spread of each device, and of its ratio to `base` in the same round."""
    summary = {}
    for name in rounds[0]:
        runs = [results[name] for results in rounds]
        summary[name] = {
            "packets_per_second": spread([run["packets_per_second"] for run in runs]),
            "best_window": max(run["best_window"] for run in runs),
            "best_ratio": best_ratio(rounds, name, base),
            "ratio": ratio(rounds, name, base, "packets_per_second"),
            "lost": sum(run["lost"] for run in runs),
            "wrong": sum(run["wrong"] for run in runs),
            "ring_full": statistics.median(
                [min(run["to_bridge"]["ring_full"], run["to_client"]["ring_full"])
                 for run in runs]),
        }
    return summary


def of_veth(rounds, discard, rate_base, core_base):
    """`discard` is the device that delivers nothing: of it counts what the generator has sent."""
    summary = {}
    for name in rounds[0]:
        runs = [results[name] for results in rounds]
        if name == discard:
            summary[name] = {
                "sent_per_core": spread([run["sent_per_core"] for run in runs]),
                "busy": statistics.median([run["busy"] for run in runs]),
            }
            continue
        summary[name] = {
            "packets_per_second": spread([run["packets_per_second"] for run in runs]),
            "rate_ratio": ratio(rounds, name, rate_base, "packets_per_second"),
            "per_core": spread([run["per_core"] for run in runs]),
            "core_ratio": ratio(rounds, name, core_base, "per_core"),
            "busy": statistics.median([run["busy"] for run in runs]),
            "softirq": statistics.median([run["softirq"] for run in runs]),
            "full_speed": statistics.median(
                [run["full_speed"]["packets_per_second"] for run in runs]),
            "share_lost": max(run["share_lost"] for run in runs),
            "wrong": sum(run["wrong"] + run["full_speed"]["wrong"] for run in runs),
        }
    return summary


def spread_text(values, unit, digits):
    return (f"{values['median'] / unit:.{digits}f}",
            f"{values['min'] / unit:.{digits}f}..{values['max'] / unit:.{digits}f}")


def ratio_text(values):
    return spread_text(values, 1, 2) if values else ("-", "-")


def lines(rows):
    """Columns as wide as their longest cell; the first one's text begins at the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0])] + [
        cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]) for row in rows)


def memif_table(summary, base):
    rows = [("device", "Mpps", "min..max", f"of {base}", "min..max", "best 100 ms", f"of {base}",
             "lost", "wrong")]
    for name, row in summary.items():
        rows.append((name, *spread_text(row["packets_per_second"], 1e6, 2),
                     *ratio_text(row["ratio"]), f"{row['best_window'] / 1e6:.2f}",
                     f"{row['best_ratio']:.2f}" if row["best_ratio"] else "-",
                     str(row["lost"]), str(row["wrong"])))
    return lines(rows)


def veth_table(summary, discard, rate_base, core_base):
    rows = [("device", "kpps", "min..max", f"of {rate_base}", "min..max", "kpps/busy core",
             "min..max", f"of {core_base}", "min..max", "busy", "softirq", "lost", "wrong",
             "flooded")]
    for name, row in summary.items():
        if name == discard:
            continue
        rows.append((name, *spread_text(row["packets_per_second"], 1e3, 1),
                     *ratio_text(row["rate_ratio"]), *spread_text(row["per_core"], 1e3, 1),
                     *ratio_text(row["core_ratio"]), f"{row['busy']:.2f}", f"{row['softirq']:.2f}",
                     f"{row['share_lost']:.2%}", str(row["wrong"]),
                     f"{row['full_speed'] / 1e3:.1f}"))
    text = lines(rows)
    if discard in summary:
        cost = 1e6 / summary[discard]["sent_per_core"]["median"]
        text += (f"\nThe generator's sending alone takes {cost:.2f} us of a core for each packet, "
                 "which is in `busy`.")
    return text
