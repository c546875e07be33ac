"""Whether the call went as it should: pure functions from what was seen to a list of faults."""

# Drops that take nothing from a call, each with its reason. All others are losses.
BENIGN = {
    "not_for_us": "matches no listener, NAT port or bridge: no part of this call",
    "icmp_no_session": "an ICMP error about no session; a browser that hangs up causes some",
    "icmp_type": "an ICMP message that is no error, not media",
}
# Benign only until the call is connected.
BENIGN_WHILE_CONNECTING = {
    "no_session": "the bridge's first connectivity checks, before the participant's own has opened "
                  "the way; ICE repeats them",
}


def drop_faults(connected, last, also_benign=()):
    """Losses inside the relay, from its counters when the call was connected and at its end."""
    faults = []
    for label, packets in sorted(last.drops.items()):
        if label in BENIGN or label in also_benign:
            continue
        lost = packets - (connected.drops.get(label, 0) if label in BENIGN_WHILE_CONNECTING else 0)
        if lost:
            faults.append(f"the relay dropped {lost} packets as {label}")
    return faults


def port_faults(last):
    """Losses before the relay."""
    return [f"port {port.name} lost {port.missed} packets to a full receive ring and "
            f"{port.no_buffer} for want of a packet buffer"
            for port in last.ports if port.missed or port.no_buffer]


def bridge_faults(reached, wanted):
    """`reached`: the bridges to which the relay has sessions of each participant; `wanted`: the one."""
    return [f"{name} was to reach {wanted[name]}, and the relay has sessions of theirs to "
            f"{', '.join(sorted(bridges)) or 'no bridge'}"
            for name, bridges in reached.items() if bridges != {wanted[name]}]


def accounting_faults(quiet, call):
    """The relay's books, once its traffic has ended."""
    faults = []
    dropped = sum(quiet.drops.values())
    if quiet.received + quiet.made != quiet.forwarded + dropped + quiet.held:
        faults.append(f"the relay's counters do not add up: received {quiet.received}, forwarded "
                      f"{quiet.forwarded} + dropped {dropped} + held {quiet.held} - made {quiet.made}")
    # Whatever the browsers sent or received has passed the relay, or it took another way.
    for way, direction, passed in (("sent", "out", quiet.to_bridge), ("received", "in", quiet.to_client)):
        media = call.total("packets", direction)
        if passed < media:
            faults.append(f"the participants {way} {media} media packets, but the relay forwarded "
                          f"only {passed} that way: media takes another way than the relay")
    return faults


def call_faults(call, allowed, reason):
    """Faults of the call as the participants saw it, who may miss `allowed` packets for this reason."""
    faults = [f"{name}: {reason}" for name, reason in call.failures.items()]
    faults += [f"{name}: {state}" for name, state in call.ice.items() if state != "connected"]
    faults += [f"{stream} never began" for stream in call.missing()]
    faults += [f"media connected to {address}, not to the relay's address {call.public}"
               for address in sorted(call.stray)]
    lost = call.total("lost", "out") + call.total("lost", "in")
    if lost > allowed:
        faults.append(f"the participants miss {lost} media packets, and {reason} {allowed} of them")
    return faults


def line_faults(session):
    if session.problem:
        return [f"the TCP session {session.problem}"]
    return [] if session.lines else ["the TCP session exchanged no line"]
