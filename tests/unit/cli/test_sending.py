"""What a person reads of a command that was executed."""

from bpci_node.cli.sending import render_sent


def test_a_proposal_is_told_with_its_number_and_its_end() -> None:
    event = {"kind": "dao.proposed", "fields": {"dao": "bpa1", "proposal": 7, "proposer": "bpa1", "vote_until": 1012}}
    shown = render_sent({"account": "bpa1", "height": 12, "events": [event]})
    assert [line.split() for line in shown.splitlines()[-2:]] == [
        ["proposal:", "7"],
        ["vote", "until:", "height", "1012"],
    ]


def test_a_command_that_changed_nothing_says_so() -> None:
    assert render_sent({"account": "bpa1", "height": 12, "events": []}).endswith("happened: nothing new")
