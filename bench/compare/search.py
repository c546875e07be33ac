"""The search for the highest rate that passes."""

STEPS_AT_MOST = 8  # in one search


def search(passes, rate, step):
    """From `rate` up or down in steps; None when none passes."""
    if passes(rate):
        for _ in range(STEPS_AT_MOST):
            if not passes(rate * step):
                break
            rate *= step
        return rate
    for _ in range(STEPS_AT_MOST):
        rate /= step
        if passes(rate):
            return rate
    return None
