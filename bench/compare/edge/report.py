"""Statistics over rounds, and the tables."""

import statistics

OURS = "bridgehead"


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(rounds):
    """Of one scenario. `rounds`: for each round {peer: result}, warm-up left out.

    For each peer the spread of its value, how many things went wrong in all, and, for each but the
    best of the others, the ratio to that one in the same round. The best other is the one with the
    lowest median, bridgehead not counted.
    """
    peers = list(rounds[0])
    summary = {}
    for peer in peers:
        results = [results[peer] for results in rounds]
        values = [result["value"] for result in results if result["value"] is not None]
        busy = [result["busy"] for result in results if "busy" in result]
        summary[peer] = {
            "value": spread(values) if len(values) == len(results) else None,
            "busy": statistics.median(busy) if busy else None,
            "note": results[0].get("note", ""),
            "wrong": sum(result["wrong"] for result in results),
            "failure": next((result["failure"] for result in results if result.get("failure")),
                            ""),
        }
    others = [peer for peer in peers if peer != OURS and summary[peer]["value"] is not None]
    best = min(others, key=lambda peer: summary[peer]["value"]["median"], default=None)
    for peer in peers:
        ratio = None
        if best is not None and summary[peer]["value"] is not None:
            pairs = [(results[peer]["value"], results[best]["value"]) for results in rounds]
            if all(other > 0 for _, other in pairs):  # nothing lost has no ratio
                ratio = spread([value / other for value, other in pairs])
        summary[peer]["ratio"] = ratio
    return summary


def number(value):
    """Three or four digits that matter, without an exponent."""
    if value == 0:
        return "0"
    digits = 4 if value < 1 else 3 if value < 10 else 2 if value < 100 else 0
    return f"{value:.{digits}f}"


def table(scenario, summary):
    note = next((row["note"] for row in summary.values() if row["note"]), "")
    lines = [f"{scenario.title} ({scenario.unit})" + (f", {note}" if note else ""),
             f"  {'':15} {'median':>9} {'min..max':>19} {'to the best':>12} {'min..max':>13}"
             f" {'busy':>6} {'wrong':>6}"]
    for peer, row in summary.items():
        value, ratio, busy = row["value"], row["ratio"], row["busy"]
        value_range = f"{number(value['min'])}..{number(value['max'])}" if value else "-"
        ratio_range = f"{ratio['min']:.2f}..{ratio['max']:.2f}" if ratio else "-"
        lines.append(f"  {peer:15} {number(value['median']) if value else '-':>9}"
                     f" {value_range:>19}"
                     f" {format(ratio['median'], '.2f') if ratio else '-':>12}"
                     f" {ratio_range:>13} {'-' if busy is None else format(busy, '.0%'):>6}"
                     f" {row['wrong']:>6}")
        if row["wrong"] and row["failure"]:
            lines.append(f"  {'':15} last failure: {row['failure']}")
    return "\n".join(lines)
