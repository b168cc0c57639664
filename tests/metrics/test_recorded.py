"""Every recorded value that takes no time to compute, and that the list of them leaves none out."""


def test_as_recorded(family, entry):
    outcomes = list(family.outcomes(entry))
    assert outcomes
    for outcome in outcomes:
        assert outcome.agrees, outcome


def test_the_list_leaves_nothing_out(recorded_list):
    compared = {
        (family.publisher, entry, name)
        for family in recorded_list.FAMILIES
        for entry in family.entries()
        for name in family.compared(entry)
    }
    recorded = {
        (publisher, entry, name)
        for publisher in recorded_list.PUBLISHERS
        for entry, content in recorded_list.entries_of(publisher).items()
        for name in recorded_list.values_of(content)
    }
    assert compared <= recorded and len(compared) > 1500
    # The steps of a fit are no score, and where all frequencies are equally good any one may be recorded.
    missing = {name if entry != "entangled_sum" else entry for _, entry, name in recorded - compared}
    assert missing == {"n_iter", "entangled_sum"}
